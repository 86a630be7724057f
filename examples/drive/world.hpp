// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file world.hpp
/// The world one drives in: a road, a car, its camera and the measures of how well it is driven.
#pragma once

#include "camera.hpp"
#include "expert.hpp"
#include "road.hpp"
#include "vehicle.hpp"

#include <cmath>
#include <cstdint>

namespace drive {

inline constexpr double frame_seconds = 0.1; ///< the camera's period: 10 Hz

/// A seeded drive. Everything in it follows from the seed and the controls given: same seed, same controls, same frames (on one
/// architecture; compilers may contract floating point differently on machines with fused multiply-add in their base set).
///
/// @code
/// drive::world w{7};
/// w.render(frame);                         // (3, 88, 200) bytes, red first
/// w.step(answer_for(frame, w.speed(), w.command()));
/// deviation.add(w.lane_deviation());
/// @endcode
class world {
public:
    explicit world(std::uint64_t seed) : way{seed}, eye{seed} {
        place_car(5, 0, 0, 6);
    }

    /// Draws the camera's picture of now. About 1.5 ms.
    void render(camera_frame frame) { eye.render(frame, way, car.where, place, clock); }

    /// Applies controls for `seconds`, then measures.
    void step(controls c, double seconds = frame_seconds) {
        car.move(c, seconds);
        clock += seconds;
        settle();
    }

    /// Puts the car back on its lane where it is now: what a supervisor does after it left the road.
    void recover() { place_car(place.along, 0, 0, 4); }

    /// Puts the car anywhere: metres along the route, metres left of the lane's centre, radians left of its direction, m/s.
    void place_car(double along, double left_of_lane, double heading_error, double speed) {
        way.extend(along + 300);
        const std::size_t segment = way.find(along, place.segment);
        car.where = way.lane_pose(along, left_of_lane, segment);
        car.where.heading += heading_error;
        car.speed = speed;
        car.wheel_angle = 0;
        place.segment = segment;
        settle();
    }
    void set_time(double seconds) { clock = seconds; } ///< of the light
    void extend_road(double distance) { way.extend(distance); } ///< so that its pieces can be looked at

    [[nodiscard]] controls expert() const { return expert_controls(way, car, place); }
    [[nodiscard]] double speed() const { return car.speed; }                           ///< m/s
    [[nodiscard]] drive::command command() const { return way.command_at(place.along, place.segment); }
    [[nodiscard]] double lane_deviation() const { return std::abs(signed_deviation()); } ///< m from the commanded lane's centre
    [[nodiscard]] double signed_deviation() const { return place.left - measure::lane_offset; } ///< m, positive to the left
    /// The car's body left the asphalt of the commanded road, by its rear axle.
    [[nodiscard]] bool off_road() const {
        return std::abs(place.left) > measure::road_half_width - vehicle_limits{}.body_width / 2;
    }
    [[nodiscard]] double time() const { return clock; }             ///< s
    [[nodiscard]] double along() const { return place.along; }      ///< m driven along the route
    [[nodiscard]] const vehicle& vehicle_state() const { return car; }
    [[nodiscard]] const road_place& where() const { return place; }
    [[nodiscard]] const route& road() const { return way; }

private:
    void settle() {
        place = way.locate(car.where.x, car.where.y, place.segment);
        way.extend(place.along + 300);
    }

    route way;
    camera eye;
    vehicle car;
    road_place place;
    double clock = 0;
};

} // namespace drive
