// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file dataset.cpp
/// Program drive_dataset: frames, speeds, commands and the expert's answers, for training.
///
/// The samples do not come from the expert's own driving but from places all over the routes with errors of position, heading and
/// speed put in, each labelled with what the expert would do there. So the network also learns how to come back to its lane.
#include "world.hpp"

#include <examples/options/exit_status.hpp>
#include <examples/options/numbers.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct settings {
    std::string path = "drive.bin";
    int frames = 8000;
    int per_seed = 40;
    std::uint64_t first_seed = 1000;
    double lateral = 1.0;  // m
    double heading = 0.2;  // rad
};

struct labels {
    std::vector<float> speed, controls;
    std::vector<std::uint8_t> command;
};

// Two fifths follow the lane, a fifth each turns left, turns right and goes straight.
drive::command wanted_command(int sample) {
    constexpr drive::command pattern[5] = {drive::command::follow, drive::command::left, drive::command::right,
                                           drive::command::follow, drive::command::straight};
    return pattern[sample % 5];
}

// Half of the errors are small: that is where a good driver spends its time.
double error_within(drive::random_source& random, double most) {
    return random.uniform(-most, most) * (random.below(2) != 0 ? 0.3 : 1.0);
}

void place_at_random(drive::world& world, drive::random_source& random, drive::command wanted, const settings& chosen) {
    // Some roads have no such junction in their first part: look farther and farther.
    double along = 10;
    for (double until = 900; until < 50'000; until += 5) {
        world.extend_road(until + 100);
        along = random.uniform(10, until);
        if (world.road().command_at(along) == wanted) break;
    }
    const double allowed = drive::allowed_speed(world.road(), along, 0);
    const double speed = random.below(10) < 7 ? allowed * random.uniform(0.6, 1.15) : random.uniform(0, 10);
    world.place_car(along, error_within(random, chosen.lateral), error_within(random, chosen.heading), speed);
    world.set_time(random.uniform(0, 600));
}

template <class T>
void write(options::output_file& file, const std::vector<T>& values) {
    file.write({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

void make(const settings& chosen) {
    options::require_writable("file", chosen.path + ".json");
    options::output_file file{"file", chosen.path};
    labels all;
    std::vector<std::uint8_t> frame(drive::camera_geometry::bytes);
    int made = 0;
    for (std::uint64_t seed = chosen.first_seed; made < chosen.frames; ++seed) {
        drive::world world{seed};
        drive::random_source random{seed ^ 0x73616d706c65ULL};
        for (int i = 0; i < chosen.per_seed && made < chosen.frames; ++i, ++made) {
            place_at_random(world, random, wanted_command(made), chosen);
            world.render(drive::camera_frame{frame.data(), drive::camera_geometry::bytes});
            write(file, frame);
            const drive::controls c = world.expert();
            all.speed.push_back(static_cast<float>(world.speed()));
            all.command.push_back(static_cast<std::uint8_t>(world.command()));
            all.controls.insert(all.controls.end(), {c.steer, c.throttle, c.brake});
        }
    }
    write(file, all.speed);
    write(file, all.controls);
    write(file, all.command);
    file.finish();
    std::ostringstream json;
    json << "{\n  \"count\": " << made << ",\n  \"frame\": {\"shape\": [3, 88, 200], \"dtype\": \"u8\"},\n"
         << "  \"layout\": [\"frames u8 (count, 3, 88, 200)\", \"speed f32 (count), m/s\","
         << " \"controls f32 (count, 3): steer, throttle, brake\", \"command u8 (count)\"],\n"
         << "  \"first_seed\": " << chosen.first_seed << ",\n  \"samples_per_seed\": " << chosen.per_seed << "\n}\n";
    options::write("file", chosen.path + ".json", json.str());
}

} // namespace

int main(int argc, char** argv) {
    settings chosen;
    CLI::App app{"Writes frames of the drive's world with the expert's controls: FILE and FILE.json"};
    app.add_option("file", chosen.path, "file to write")->capture_default_str();
    app.add_option("--frames", chosen.frames, "number of frames")->check(options::between(1, 1'000'000))->capture_default_str();
    app.add_option("--per-seed", chosen.per_seed, "frames from each world")->check(options::between(1, 10'000))->capture_default_str();
    app.add_option("--first-seed", chosen.first_seed, "seed of the first world; the next ones follow")->check(options::at_least(std::uint64_t{0}))->capture_default_str();
    app.add_option("--lateral", chosen.lateral, "largest error of position, m")->check(options::between(0.0, 1.4))->capture_default_str();
    app.add_option("--heading", chosen.heading, "largest error of heading, rad")->check(options::between(0.0, 0.5))->capture_default_str();
    return options::exit_status("drive_dataset", app, argc, argv, [&] {
        make(chosen);
        return 0;
    });
}
