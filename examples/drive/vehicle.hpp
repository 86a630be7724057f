// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file vehicle.hpp
/// A kinematic bicycle: the car of the drive.
#pragma once

#include "road.hpp"

#include <algorithm>
#include <cmath>

namespace drive {

/// What a driver does: steer in [-1, 1] (1 is full lock to the left), throttle and brake in [0, 1].
struct controls {
    float steer{}, throttle{}, brake{};
};

struct vehicle_limits {
    double wheelbase = 2.7;          ///< m
    double steering_lock = 0.5;      ///< rad at steer = 1
    double steering_rate = 2.5;      ///< rad/s the wheels can turn at
    double full_throttle = 3.0;      ///< m/s^2
    double full_brake = 6.0;         ///< m/s^2
    double drag = 0.06;              ///< 1/s, times the speed
    double top_speed = 12;           ///< m/s
    double body_width = 1.8;         ///< m
};

/// State of the car; `where` is the middle of its rear axle.
struct vehicle {
    pose where{};
    double speed{};       ///< m/s
    double wheel_angle{}; ///< rad, positive to the left

    /// Moves the car for `seconds` under constant controls, in steps of 10 ms. Controls out of range or not a number count as
    /// the nearest sensible ones: a car cannot steer by NaN.
    void move(controls c, double seconds, const vehicle_limits& limits = {}) {
        const double steer = bounded(c.steer, -1, 1);
        const double push = bounded(c.throttle, 0, 1) * limits.full_throttle - bounded(c.brake, 0, 1) * limits.full_brake;
        const int steps = std::max(1, static_cast<int>(seconds * 100 + 0.5));
        const double dt = seconds / steps;
        for (int i = 0; i < steps; ++i) {
            const double wanted = steer * limits.steering_lock;
            const double most = limits.steering_rate * dt;
            wheel_angle += std::clamp(wanted - wheel_angle, -most, most);
            speed = std::clamp(speed + (push - limits.drag * speed) * dt, 0.0, limits.top_speed);
            const double turning = std::tan(wheel_angle) / limits.wheelbase * speed * dt;
            const double middle = where.heading + turning / 2;
            where.x += speed * dt * std::cos(middle);
            where.y += speed * dt * std::sin(middle);
            where.heading += turning;
        }
    }

private:
    [[nodiscard]] static double bounded(float v, double low, double high) {
        return v >= static_cast<float>(low) ? std::min(static_cast<double>(v), high) : v < static_cast<float>(low) ? low : 0.0;
    }
};

} // namespace drive
