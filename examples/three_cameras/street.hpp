// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file street.hpp
/// The drive's world seen by three cameras: one ahead, one to each side.
#pragma once

#include "../drive/network.hpp"
#include "../drive/world.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace three_cameras {

/// Drawn pictures of a seeded drive. The drive's expert steers, so what is seen never depends on what a network answers: the same seed
/// shows the same pictures again, on the same machine.
class street {
public:
    static constexpr double aside = drive::pi / 3; ///< radians between two neighbours; each sees 100 degrees

    explicit street(std::uint64_t seed) : road{seed}, eye{seed} { look(); }

    /// To the next frame, a tenth of a second on.
    void drive_on() {
        road.step(road.expert());
        look();
    }
    /// In the network's order: left, centre, right, speed, command.
    std::array<std::span<const std::byte>, 5> inputs() const {
        return {std::as_bytes(std::span{pictures[0]}), std::as_bytes(std::span{pictures[1]}), std::as_bytes(std::span{pictures[2]}),
                std::as_bytes(std::span{&speed, 1}), std::as_bytes(std::span{&command, 1})};
    }

private:
    using picture = std::array<std::uint8_t, drive::camera_geometry::bytes>;

    void look() {
        for (std::size_t k = 0; k < pictures.size(); ++k) {
            drive::pose from = road.vehicle_state().where;
            from.heading += aside * (1 - static_cast<double>(k));
            eye.render(pictures[k], road.road(), from, road.where(), road.time());
        }
        speed = drive::speed_input(road.speed());
        command = static_cast<std::uint8_t>(road.command());
    }

    drive::world road;
    drive::camera eye;
    std::vector<picture> pictures = std::vector<picture>(3);
    float speed{};
    std::uint8_t command{};
};

} // namespace three_cameras
