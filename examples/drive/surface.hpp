// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file surface.hpp
/// Colours of the world: road, markings, junctions, grass, sky and the light that changes over them.
#pragma once

#include "road.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

namespace drive {

struct colour {
    float red{}, green{}, blue{};
};

[[nodiscard]] inline colour blend(colour a, colour b, float t) {
    return {a.red + (b.red - a.red) * t, a.green + (b.green - a.green) * t, a.blue + (b.blue - a.blue) * t};
}
[[nodiscard]] inline colour scaled(colour a, float k) { return {a.red * k, a.green * k, a.blue * k}; }

/// The colours and textures one seed has.
struct landscape {
    std::uint64_t seed;
    std::uint32_t salt{};
    colour grass{}, soil{}, asphalt{}, centre_line{};

    explicit landscape(std::uint64_t from) : seed{from} {
        random_source r{from ^ 0x6c616e64ULL};
        salt = static_cast<std::uint32_t>(r.bits());
        const auto between = [&](double low, double high) { return static_cast<float>(r.uniform(low, high)); };
        grass = {between(0.22, 0.42), between(0.38, 0.50), between(0.14, 0.24)};
        soil = {between(0.42, 0.58), between(0.36, 0.48), between(0.22, 0.34)};
        const float grey = between(0.27, 0.40);
        asphalt = {grey, grey, grey + 0.02f};
        centre_line = r.below(3) == 0 ? colour{0.88f, 0.88f, 0.86f} : colour{0.88f, 0.70f, 0.18f};
    }
};

/// Gains of the three channels at an instant: brightness and warmth wander over tens of seconds.
struct light {
    float red{}, green{}, blue{}, brightness{};
};

[[nodiscard]] inline light light_at(std::uint64_t seed, double time) {
    random_source r{seed ^ 0x6c696768ULL};
    const double a = r.uniform(0, 2 * pi), b = r.uniform(0, 2 * pi), c = r.uniform(0, 2 * pi);
    const double brightness = 0.92 + 0.22 * std::sin(time * (2 * pi / 47) + a) + 0.10 * std::sin(time * (2 * pi / 13) + b);
    const double warmth = 0.10 * std::sin(time * (2 * pi / 71) + c);
    return {static_cast<float>(brightness * (1 + warmth)), static_cast<float>(brightness),
            static_cast<float>(brightness * (1 - warmth)), static_cast<float>(brightness)};
}

/// A point on the ground: ahead and left of the car, in the world, and how much ground its pixel covers across and along (m).
struct ground_point {
    float x, y, east, north, across, along;
};

/// Value noise in [-1, 1] on a lattice of one unit.
[[nodiscard]] inline float noise(float x, float y, std::uint32_t salt) {
    const float fx = std::floor(x), fy = std::floor(y);
    const auto ix = static_cast<std::uint32_t>(static_cast<std::int32_t>(fx)), iy = static_cast<std::uint32_t>(static_cast<std::int32_t>(fy));
    const auto value = [salt](std::uint32_t i, std::uint32_t j) {
        std::uint32_t h = i * 0x9E3779B1U ^ (j * 0x85EBCA77U + salt);
        h = (h ^ (h >> 15)) * 0x2C1B3C6DU;
        return static_cast<float>((h >> 8) & 0xFFFFU) * (2.0f / 65535.0f) - 1.0f;
    };
    const float u = x - fx, v = y - fy;
    const float low = value(ix, iy) + (value(ix + 1, iy) - value(ix, iy)) * u;
    const float high = value(ix, iy + 1) + (value(ix + 1, iy + 1) - value(ix, iy + 1)) * u;
    return low + (high - low) * v;
}

/// How much of a pixel of width `footprint` lies on a line `half` to each side of `middle`: lines far away fade, they do not flicker.
[[nodiscard]] inline float coverage(float where, float middle, float half, float footprint) {
    const float reach = footprint * 0.5f, distance = std::abs(where - middle);
    const float inside = std::min(distance + reach, half) - std::max(distance - reach, -half);
    return std::clamp(inside / footprint, 0.0f, 1.0f);
}

[[nodiscard]] inline colour verge(const ground_point& p, const landscape& look) {
    const float broad = noise(p.east * 0.21f, p.north * 0.21f, look.salt);
    const float detail = p.along < 1.2f ? noise(p.east * 1.9f, p.north * 1.9f, look.salt + 7) * (1.2f - p.along) : 0.0f;
    return scaled(blend(look.grass, look.soil, std::clamp(broad * 0.9f - 0.1f, 0.0f, 0.8f)), 1 + 0.10f * broad + 0.16f * detail);
}

[[nodiscard]] inline colour tarmac(const ground_point& p, const landscape& look) {
    const float broad = noise(p.east * 0.11f, p.north * 0.11f, look.salt + 3);
    const float detail = p.along < 0.5f ? noise(p.east * 5, p.north * 5, look.salt + 5) * (0.5f - p.along) : 0.0f;
    return scaled(look.asphalt, 1 + 0.12f * broad + 0.22f * detail);
}

inline constexpr colour white_paint{0.93f, 0.93f, 0.92f};

/// A straight or a curve of the route, or an arm of a junction, seen from the car.
struct road_patch {
    struct coordinates {
        float along, left;
    };
    float x, y, cosine, sine; ///< start in the car's frame
    float length, along0, radius, sign;

    [[nodiscard]] static road_patch of(const segment& s, const pose& car) {
        road_patch p = from(s.start, s.length, car);
        p.along0 = static_cast<float>(std::fmod(s.along, 6144.0)); // a multiple of the dashes' period
        if (s.curvature != 0.0) {
            p.radius = static_cast<float>(std::abs(1 / s.curvature));
            p.sign = s.curvature > 0 ? 1.0f : -1.0f;
        }
        return p;
    }

    /// Arm 1 goes ahead, 2 left, 3 right of the junction `s`.
    [[nodiscard]] static road_patch arm(const segment& s, int which, const pose& car) {
        const double half = measure::junction_half_size;
        const double c = std::cos(s.start.heading), n = std::sin(s.start.heading);
        const double turn = which == 1 ? 0.0 : which == 2 ? pi / 2 : -pi / 2;
        const double forward = which == 1 ? 2 * half : half, left = which == 1 ? 0.0 : which == 2 ? half : -half;
        return from({s.start.x + forward * c - left * n, s.start.y + forward * n + left * c, s.start.heading + turn},
                    measure::arm_length, car);
    }

    [[nodiscard]] bool covers(const ground_point& p, coordinates& at) const {
        const float dx = p.x - x, dy = p.y - y;
        const float forward = dx * cosine + dy * sine, left = dy * cosine - dx * sine;
        if (radius == 0.0f) {
            at = {forward, left};
            return forward >= 0 && forward <= length && left > -reach && left < reach;
        }
        const float inward = radius - sign * left; // from the centre towards the start, scaled so that both turns look alike
        const float square = forward * forward + inward * inward;
        if (square < (radius - reach) * (radius - reach) || square > (radius + reach) * (radius + reach)) return false;
        at.along = std::atan2(forward, inward) * radius;
        if (at.along < 0 || at.along > length) return false;
        at.left = sign * (radius - std::sqrt(square));
        return true;
    }

    [[nodiscard]] colour shade(const ground_point& p, coordinates at, const landscape& look) const {
        constexpr float edge = static_cast<float>(measure::road_half_width), line = static_cast<float>(measure::lane_width) - 0.1f;
        const float side = std::abs(at.left);
        colour c = tarmac(p, look);
        const float gravel = coverage(side, edge + 0.35f, 0.35f, p.across);
        c = blend(c, look.soil, gravel);
        c = blend(c, white_paint, coverage(side, line, 0.09f, p.across));
        const float phase = std::fmod(at.along + along0, 6.0f);
        const float dash = p.along > 6 ? 0.5f : coverage(phase, 3, 1.5f, p.along);
        c = blend(c, look.centre_line, dash * coverage(at.left, 0, 0.09f, p.across));
        // Beyond the gravel the verge begins; the pixel that holds the border takes both.
        return blend(c, verge(p, look), std::clamp((side - edge - 0.7f) / p.across + 0.5f, 0.0f, 1.0f));
    }

private:
    static constexpr float reach = static_cast<float>(measure::road_half_width) + 0.9f;

    [[nodiscard]] static road_patch from(const pose& start, double length, const pose& car) {
        const double c = std::cos(car.heading), n = std::sin(car.heading);
        const double dx = start.x - car.x, dy = start.y - car.y, turn = start.heading - car.heading;
        return {static_cast<float>(dx * c + dy * n), static_cast<float>(dy * c - dx * n), static_cast<float>(std::cos(turn)),
                static_cast<float>(std::sin(turn)),  static_cast<float>(length),          0,
                0,                                   1};
    }
};

/// The square where roads meet: asphalt with rounded corners, a white line along each of them and along closed sides, and a
/// stop line and zebra stripes where the car enters, so that a camera can tell how far it is.
struct junction_patch {
    float x, y, cosine, sine;  ///< the square's middle and the entering direction, in the car's frame
    std::array<bool, 4> has{}; ///< arms: 0 back, 1 ahead, 2 left, 3 right
    int taken{};

    [[nodiscard]] static junction_patch of(const segment& s, const pose& car) {
        const double size = measure::junction_half_size;
        const double mx = s.start.x + size * std::cos(s.start.heading) - car.x, my = s.start.y + size * std::sin(s.start.heading) - car.y;
        const double c = std::cos(car.heading), n = std::sin(car.heading), turn = s.start.heading - car.heading;
        junction_patch j{static_cast<float>(mx * c + my * n), static_cast<float>(my * c - mx * n), static_cast<float>(std::cos(turn)),
                         static_cast<float>(std::sin(turn)), {true, s.arms.ahead, s.arms.left, s.arms.right}, 0};
        j.taken = s.turn == command::straight ? 1 : s.turn == command::left ? 2 : 3;
        return j;
    }

    [[nodiscard]] bool covers(const ground_point& p) const {
        const float dx = p.x - x, dy = p.y - y;
        return std::max(std::abs(dx * cosine + dy * sine), std::abs(dy * cosine - dx * sine)) <= half;
    }

    [[nodiscard]] colour shade(const ground_point& p, const landscape& look) const {
        const float dx = p.x - x, dy = p.y - y;
        const float forward = dx * cosine + dy * sine, left = dy * cosine - dx * sine;
        constexpr float edge = static_cast<float>(measure::road_half_width);
        const bool arm_along = has[forward > 0 ? 1 : 0], arm_across = has[left > 0 ? 2 : 3];
        const float f = std::abs(forward), l = std::abs(left);
        // Depth into the asphalt in metres, negative outside: a straight border beside a closed side, a rounded corner between arms.
        float depth;
        if (arm_along && arm_across) {
            const float radius = half - edge;
            const float cf = half - f, cl = half - l;
            depth = cf > radius || cl > radius ? std::max(edge - f, edge - l) : std::sqrt(cf * cf + cl * cl) - radius;
            depth = std::max(depth, 0.0f) + std::min(depth, 0.0f);
        } else if (arm_along) {
            depth = edge - l;
        } else if (arm_across) {
            depth = edge - f;
        } else {
            depth = std::min(edge - f, edge - l);
        }
        colour c = tarmac(p, look);
        c = blend(c, look.soil, coverage(depth, -0.35f, 0.35f, p.across));
        c = blend(c, white_paint, coverage(depth, 0.5f, 0.09f, p.across));
        if (has[0] && l < edge - 0.7f) { // the zebra on the entering arm
            const float band = coverage(forward, -half + 1.6f, 1.1f, p.along);
            const float stripe = std::fmod(left + 40, 1.0f);
            c = blend(c, white_paint, 0.9f * band * coverage(stripe, 0.5f, 0.25f, p.across));
        }
        if (left < 0 && l < edge - 0.5f) c = blend(c, white_paint, coverage(forward, -half + 0.2f, 0.2f, p.along)); // stop line
        return blend(c, verge(p, look), std::clamp((-depth - 0.7f) / p.across + 0.5f, 0.0f, 1.0f));
    }

private:
    static constexpr float half = static_cast<float>(measure::junction_half_size);
};

[[nodiscard]] inline colour horizon(const light& now) {
    const float b = 0.55f + 0.25f * now.brightness;
    return {0.80f * b, 0.85f * b, 0.92f * b};
}

/// Sky with a line of hills; the hills stand still in the world, so they turn as the car turns.
[[nodiscard]] inline colour sky(const landscape& look, float elevation, float azimuth, const light& now) {
    const float ridge = 0.05f + 0.035f * noise(azimuth * 4, 0.5f, look.salt + 11) + 0.02f * noise(azimuth * 13, 0.5f, look.salt + 13);
    const colour haze = horizon(now);
    if (elevation < ridge) return blend(scaled(look.grass, 0.8f), haze, 0.65f);
    return blend(haze, {0.36f, 0.56f, 0.90f}, std::clamp((elevation - 0.03f) * 2.2f, 0.0f, 1.0f));
}

} // namespace drive
