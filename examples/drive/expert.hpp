// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file expert.hpp
/// The driver that knows the map: pure pursuit for the wheel, braking distance and lateral acceleration for the speed.
#pragma once

#include "vehicle.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace drive {

struct expert_options {
    double look_ahead = 3.2;           ///< m at standstill
    double look_ahead_time = 0.35;     ///< s, added times the speed
    double cruise = 8.5;               ///< m/s
    double through_junction = 6.5;     ///< m/s
    double lateral_acceleration = 2.0; ///< m/s^2
    double braking = 1.5;              ///< m/s^2, planned with
    double preview = 26;               ///< m
};

/// The speed the road allows from a distance on: every slower place ahead within the preview is reached by gentle braking.
[[nodiscard]] inline double allowed_speed(const route& way, double along, std::size_t hint, const expert_options& o = {}) {
    double allowed = o.cruise;
    const auto& pieces = way.segments();
    for (std::size_t i = way.find(along, hint); i < pieces.size() && pieces[i].along < along + o.preview; ++i) {
        const segment& s = pieces[i];
        // The lane's own radius differs from the reference line's.
        const double radius = s.curvature == 0.0 ? 1e9 : std::abs(1 / s.curvature - measure::lane_offset);
        double here = std::min(o.cruise, std::sqrt(o.lateral_acceleration * radius));
        if (s.kind == segment_kind::junction) here = std::min(here, o.through_junction);
        const double gap = std::max(0.0, s.along - along);
        allowed = std::min(allowed, std::sqrt(here * here + 2 * o.braking * gap));
    }
    return allowed;
}

/// Controls that bring the car back to, and along, the lane of the commanded route.
/// Steering is pure pursuit (Coulter 1992): the circle through the rear axle and a point on the lane ahead. It depends on what a
/// camera can see and on the speed, not on hidden state, so it can be imitated from single frames.
[[nodiscard]] inline controls expert_controls(const route& way, const vehicle& car, const road_place& place,
                                              const expert_options& o = {}, const vehicle_limits& limits = {}) {
    const double distance = o.look_ahead + o.look_ahead_time * car.speed;
    const pose goal = way.lane_pose(place.along + distance, 0, place.segment);
    const double dx = goal.x - car.where.x, dy = goal.y - car.where.y;
    const double left = dy * std::cos(car.where.heading) - dx * std::sin(car.where.heading);
    const double square = std::max(1.0, dx * dx + dy * dy);
    const double wheel = std::atan(limits.wheelbase * 2 * left / square);
    const double lack = allowed_speed(way, place.along, place.segment, o) - car.speed;
    controls c;
    c.steer = static_cast<float>(std::clamp(wheel / limits.steering_lock, -1.0, 1.0));
    c.throttle = static_cast<float>(std::clamp(0.15 + 0.4 * lack, 0.0, 1.0));
    c.brake = static_cast<float>(std::clamp(-0.3 * (lack + 0.4), 0.0, 1.0));
    return c;
}

} // namespace drive
