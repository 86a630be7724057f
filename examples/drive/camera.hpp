// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file camera.hpp
/// What the car's camera sees: inverse perspective, one ground point per pixel, drawn from the road's own measures.
#pragma once

#include "surface.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace drive {

/// Pinhole camera 1.6 m above the road, 1.2 m before the rear axle, 100 degrees wide, pitched 11 degrees down.
struct camera_geometry {
    static constexpr int height = 88, width = 200, channels = 3;
    static constexpr std::size_t bytes = std::size_t{3} * 88 * 200;
    static constexpr double focal = 84, mount_height = 1.6, mount_forward = 1.2, pitch = 0.192;
    static constexpr double sight = 85; ///< m; farther ground is haze
};

using camera_frame = std::span<std::uint8_t, camera_geometry::bytes>; ///< (channel, row, column), red first

/// Draws frames; keeps the rays and the patches of road in sight between frames, so that drawing allocates only while the number
/// of patches in sight grows. About 1.5 ms a frame on one core of a desktop machine.
class camera {
public:
    explicit camera(std::uint64_t seed) : look{seed} {
        using g = camera_geometry;
        const double cosine = std::cos(g::pitch), sine = std::sin(g::pitch);
        for (int row = 0; row < g::height; ++row) {
            const double below = (row + 0.5 - g::height / 2.0) / g::focal;
            const double down = sine + below * cosine;
            row_ray& r = rows[static_cast<std::size_t>(row)];
            r.elevation = static_cast<float>(-down);
            if (down <= 1e-3) continue;
            const double depth = g::mount_height / down;
            const double forward = depth * (cosine - below * sine) + g::mount_forward;
            if (forward > g::sight) continue;
            r.ground = true;
            r.forward = static_cast<float>(forward);
            r.sideways = static_cast<float>(depth / g::focal); // metres per column, so also the footprint across
            r.footprint = static_cast<float>(g::mount_height / (g::focal * down * down));
        }
    }

    /// Draws what a car at `car` sees at `time` seconds; `place` is where it is on the route.
    void render(camera_frame frame, const route& way, const pose& car, const road_place& place, double time) {
        gather(way, car, place);
        const light now = light_at(look.seed, time);
        const float cosine = static_cast<float>(std::cos(car.heading)), sine = static_cast<float>(std::sin(car.heading));
        // Texture coordinates are kept small, so that single precision suffices on a route of any length.
        const float east = static_cast<float>(std::fmod(car.x, 4096.0)), north = static_cast<float>(std::fmod(car.y, 4096.0));
        using g = camera_geometry;
        for (int row = 0; row < g::height; ++row) {
            const row_ray& r = rows[static_cast<std::size_t>(row)];
            const float haze = r.ground ? std::min(1.0f, r.forward * r.forward * 1.1e-4f) : 1.0f;
            for (int column = 0; column < g::width; ++column) {
                const float across = static_cast<float>(column) + 0.5f - static_cast<float>(g::width) / 2;
                colour c;
                if (!r.ground) {
                    c = sky(look, r.elevation, static_cast<float>(car.heading) - std::atan(across / static_cast<float>(g::focal)), now);
                } else {
                    const float x = r.forward, y = -across * r.sideways;
                    const ground_point p{x, y, east + x * cosine - y * sine, north + x * sine + y * cosine, r.sideways, r.footprint};
                    c = blend(shade(p), horizon(now), haze);
                }
                put(frame, row, column, c, now);
            }
        }
    }

private:
    struct row_ray {
        bool ground{};
        float elevation{}, forward{}, sideways{}, footprint{};
    };

    /// The patches in sight, nearest kinds first: junctions hide the arms' ends, the route hides arms that happen to lie under it.
    void gather(const route& way, const pose& car, const road_place& place) {
        junctions.clear();
        roads.clear();
        arms.clear();
        const auto& pieces = way.segments();
        const double from = place.along - 20, until = place.along + camera_geometry::sight + 10;
        std::size_t first = place.segment;
        while (first > 0 && pieces[first].along > from) --first;
        for (std::size_t i = first; i < pieces.size() && pieces[i].along < until; ++i) {
            const segment& s = pieces[i];
            if (s.kind != segment_kind::junction) {
                roads.push_back(road_patch::of(s, car));
                continue;
            }
            const junction_patch box = junction_patch::of(s, car);
            junctions.push_back(box);
            for (int arm = 1; arm < 4; ++arm)
                if (box.has[static_cast<std::size_t>(arm)] && arm != box.taken) arms.push_back(road_patch::arm(s, arm, car));
        }
    }

    [[nodiscard]] colour shade(const ground_point& p) const {
        for (const junction_patch& j : junctions)
            if (j.covers(p)) return j.shade(p, look);
        for (const auto* list : {&roads, &arms})
            for (const road_patch& r : *list) {
                road_patch::coordinates at;
                if (r.covers(p, at)) return r.shade(p, at, look);
            }
        return verge(p, look);
    }

    static void put(camera_frame frame, int row, int column, colour c, const light& now) {
        const auto index = static_cast<std::size_t>(row * camera_geometry::width + column);
        constexpr auto plane = std::size_t{88} * 200;
        const auto level = [](float v) { return static_cast<std::uint8_t>(std::clamp(v * 255.0f + 0.5f, 0.0f, 255.0f)); };
        frame[index] = level(c.red * now.red);
        frame[index + plane] = level(c.green * now.green);
        frame[index + 2 * plane] = level(c.blue * now.blue);
    }

    landscape look;
    std::array<row_ray, camera_geometry::height> rows{};
    std::vector<junction_patch> junctions;
    std::vector<road_patch> roads, arms;
};

} // namespace drive
