// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include "../catch.hpp"

#include "../../examples/drive/world.hpp"

#include <array>
#include <limits>
#include <numeric>
#include <vector>

namespace {

using picture = std::vector<std::uint8_t>;

picture seen(drive::world& world) {
    picture frame(drive::camera_geometry::bytes);
    world.render(drive::camera_frame{frame.data(), drive::camera_geometry::bytes});
    return frame;
}

} // namespace

TEST_CASE("a drive is made of its seed and its controls alone") {
    drive::world one{5}, two{5}, other{6};
    for (int i = 0; i < 60; ++i) {
        one.step(one.expert());
        two.step(two.expert());
        other.step(other.expert());
    }
    CHECK(one.along() == two.along());
    CHECK(one.signed_deviation() == two.signed_deviation());
    CHECK(seen(one) == seen(two));
    CHECK(seen(one) != seen(other));
}

TEST_CASE("a place on the lane is found again from its coordinates") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        drive::route way{seed};
        way.extend(2000);
        for (double along = 1; along < 1900; along += 7.3) {
            const double left = std::fmod(along, 3.0) - 1.5;
            const std::size_t index = way.find(along);
            const drive::pose p = way.lane_pose(along, left, index);
            const drive::road_place place = way.locate(p.x, p.y, index);
            REQUIRE(place.left - drive::measure::lane_offset == Approx(left).margin(1e-6));
            REQUIRE(place.along == Approx(along).margin(1e-6));
            const std::size_t before = index > 0 ? index - 1 : 0;
            REQUIRE(way.locate(p.x, p.y, before).along == Approx(along).margin(1e-6));
        }
    }
}

TEST_CASE("every piece of the road begins where the one before ends, in place and direction") {
    drive::route way{11};
    way.extend(5000);
    const auto& pieces = way.segments();
    for (std::size_t i = 1; i < pieces.size(); ++i) {
        const drive::pose end = pieces[i - 1].at(pieces[i - 1].length);
        REQUIRE(end.x == Approx(pieces[i].start.x).margin(1e-9));
        REQUIRE(end.y == Approx(pieces[i].start.y).margin(1e-9));
        REQUIRE(end.heading == Approx(pieces[i].start.heading).margin(1e-9));
    }
}

TEST_CASE("a junction has the arm its command takes, and its command is given 20 m ahead and no earlier") {
    drive::route way{3};
    way.extend(20'000);
    std::array<int, 4> count{};
    for (const drive::segment& s : way.segments()) {
        if (s.kind != drive::segment_kind::junction) continue;
        ++count[static_cast<std::size_t>(s.turn)];
        CHECK((s.turn != drive::command::left || s.arms.left));
        CHECK((s.turn != drive::command::right || s.arms.right));
        CHECK((s.turn != drive::command::straight || s.arms.ahead));
        if (s.along < 100) continue;
        CHECK(way.command_at(s.along - 19.9) == s.turn);
        CHECK(way.command_at(s.along + s.length - 0.1) == s.turn);
        CHECK(way.command_at(s.along - 20.1) == drive::command::follow);
        CHECK(way.command_at(s.along + s.length + 0.1) == drive::command::follow);
    }
    CHECK(count[0] == 0);
    for (int c = 1; c < 4; ++c) CHECK(count[static_cast<std::size_t>(c)] > 30);
}

TEST_CASE("the expert stays on its lane, also when its answers come one frame late") {
    for (const bool late : {false, true}) {
        for (std::uint64_t seed = 1; seed <= 10; ++seed) {
            drive::world world{seed};
            drive::controls waiting{0, 0.3F, 0};
            double sum = 0, most = 0;
            for (int frame = 0; frame < 600; ++frame) {
                const drive::controls fresh = world.expert();
                world.step(late ? waiting : fresh);
                waiting = fresh;
                sum += world.lane_deviation();
                most = std::max(most, world.lane_deviation());
                REQUIRE_FALSE(world.off_road());
            }
            CHECK(sum / 600 < 0.08);
            CHECK(most < 0.35);
            CHECK(world.along() > 300);
        }
    }
}

TEST_CASE("the expert brings a displaced car back to its lane") {
    drive::world world{4};
    for (const double left : {-1.0, 1.0})
        for (const double heading : {-0.2, 0.2}) {
            world.place_car(8, left, heading, 6);
            CHECK(world.signed_deviation() == Approx(left).margin(1e-6));
            double most = 0;
            for (int frame = 0; frame < 30; ++frame) {
                world.step(world.expert());
                most = std::max(most, world.lane_deviation());
            }
            CHECK(most < 2);
            CHECK(world.lane_deviation() < 0.3);
        }
}

TEST_CASE("a car left alone leaves the road, is counted, and recovers") {
    drive::world world{2};
    bool left_road = false;
    for (int frame = 0; frame < 300 && !left_road; ++frame) {
        world.step({0.3F, 0.5F, 0});
        left_road = world.off_road();
    }
    REQUIRE(left_road);
    world.recover();
    CHECK_FALSE(world.off_road());
    CHECK(world.lane_deviation() < 1e-6);
}

TEST_CASE("controls that are no numbers or out of range do not break the car") {
    drive::world world{2};
    const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    for (const float bad : {nan, infinity, -infinity, 1e30F}) {
        world.step({bad, bad, bad});
        CHECK(std::isfinite(world.signed_deviation()));
        CHECK(world.speed() >= 0);
        CHECK(world.speed() <= 12);
    }
    drive::vehicle coasting{{}, 5, 0}, told_nan = coasting;
    coasting.move({0, 0, 0}, 0.1);
    told_nan.move({nan, nan, nan}, 0.1);
    CHECK(told_nan.where.x == coasting.where.x);
    CHECK(told_nan.speed == coasting.speed);
}

TEST_CASE("the camera sees the lane's edge on the side where it is") {
    drive::world world{9};
    // White paint of the right edge line in a near row; it lies farther left in the picture the farther right the car stands.
    const auto edge_column = [&](double left) {
        world.place_car(12, left, 0, 5);
        const picture frame = seen(world);
        const std::size_t row = 70;
        std::size_t best = 100;
        for (std::size_t c = 100; c < 200; ++c)
            if (frame[row * 200 + c] > frame[row * 200 + best]) best = c;
        return best;
    };
    const std::size_t from_left = edge_column(0.6), from_middle = edge_column(0), from_right = edge_column(-0.6);
    CHECK(from_right < from_middle);
    CHECK(from_middle < from_left);
}

TEST_CASE("the light changes over time and never blinds the camera") {
    drive::world world{9};
    double darkest = 255, brightest = 0;
    for (double time = 0; time < 60; time += 3) {
        world.set_time(time);
        const picture frame = seen(world);
        const double mean = std::accumulate(frame.begin(), frame.end(), 0.0) / static_cast<double>(frame.size());
        darkest = std::min(darkest, mean);
        brightest = std::max(brightest, mean);
    }
    CHECK(brightest > 1.2 * darkest);
    CHECK(darkest > 40);
    CHECK(brightest < 215);
}
