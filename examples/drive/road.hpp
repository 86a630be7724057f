// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file road.hpp
/// An endless seeded road of straights, curves and junctions, and the lane one drives on it.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace drive {

/// The four commands of conditional imitation learning; the values are those on the network's command input.
enum class command : std::uint8_t { follow = 0, left = 1, right = 2, straight = 3 };

inline constexpr double pi = 3.14159265358979323846;

/// Numbers from a seed, the same on every compiler: the standard library's distributions are not.
class random_source {
public:
    explicit constexpr random_source(std::uint64_t seed) : state{seed * 0x9E3779B97F4A7C15ULL + 0x2545F4914F6CDD1DULL} {}
    constexpr std::uint64_t bits() {
        state += 0x9E3779B97F4A7C15ULL;
        std::uint64_t z = state;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    /// In [0, 1), a multiple of 2^-53, so that the conversion to double is exact.
    constexpr double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
    constexpr double uniform(double low, double high) { return low + (high - low) * uniform(); }
    constexpr int below(int n) { return static_cast<int>(bits() % static_cast<std::uint64_t>(n)); }

private:
    std::uint64_t state;
};

/// Position in metres (x east, y north) and heading in radians, counter-clockwise from x.
struct pose {
    double x{}, y{}, heading{};
};

/// The measures of the road, in metres. Traffic keeps right; the reference line is the road's middle.
namespace measure {
inline constexpr double lane_width = 3.5;
inline constexpr double lane_offset = -lane_width / 2; ///< the lane's centre, left of the reference line being positive
inline constexpr double road_half_width = lane_width + 0.4;
inline constexpr double junction_half_size = 12;       ///< also the radius of the reference line of a turn
inline constexpr double announced_ahead = 20;          ///< a junction's command is given from here on
inline constexpr double arm_length = 60;               ///< how far the arms not taken are drawn
} // namespace measure

enum class segment_kind : std::uint8_t { straight, curve, junction };

/// Which arms a junction has, seen by who enters it.
struct junction_arms {
    bool ahead{}, left{}, right{};
};

/// One piece of the reference line. `start` is its beginning, `along` the distance of that from the route's beginning.
struct segment {
    segment_kind kind{};
    pose start{};
    double along{};
    double length{};
    double curvature{}; ///< in 1/m, positive to the left
    command turn{};     ///< what to do here; `follow` outside junctions
    junction_arms arms{};

    [[nodiscard]] pose at(double distance) const {
        if (curvature == 0.0)
            return {start.x + distance * std::cos(start.heading), start.y + distance * std::sin(start.heading), start.heading};
        const double heading = start.heading + curvature * distance;
        return {start.x + (std::sin(heading) - std::sin(start.heading)) / curvature,
                start.y - (std::cos(heading) - std::cos(start.heading)) / curvature, heading};
    }
};

/// Where a point lies beside the route.
struct road_place {
    std::size_t segment{}; ///< index of the segment
    double along{};        ///< metres from the route's beginning, on the reference line
    double left{};         ///< metres left of the reference line
    double heading{};      ///< of the reference line there
};

/// The commanded route: segments are made as they are needed, from the seed alone.
/// The rules that keep the road readable for a camera: radii 25 to 120 m, at most 75 degrees between two changes of sign of
/// the road's total turning, a straight before and after each junction.
class route {
public:
    explicit route(std::uint64_t seed) : random{seed} {
        append(segment_kind::straight, 30, 0);
        extend(400);
    }

    /// Makes the route reach at least `distance`.
    void extend(double distance) {
        while (length() < distance) grow();
    }
    [[nodiscard]] double length() const { return pieces.back().along + pieces.back().length; }
    [[nodiscard]] const std::vector<segment>& segments() const { return pieces; }

    /// Index of the segment holding a distance; `hint` is where to begin to look.
    [[nodiscard]] std::size_t find(double along, std::size_t hint = 0) const {
        std::size_t i = hint < pieces.size() ? hint : 0;
        while (i > 0 && pieces[i].along > along) --i;
        while (i + 1 < pieces.size() && pieces[i].along + pieces[i].length <= along) ++i;
        return i;
    }

    /// The pose on the centre of the driven lane at a distance along the reference line.
    [[nodiscard]] pose lane_pose(double along, double left_of_lane = 0, std::size_t hint = 0) const {
        const segment& s = pieces[find(along, hint)];
        pose p = s.at(along - s.along);
        const double offset = measure::lane_offset + left_of_lane;
        p.x -= offset * std::sin(p.heading);
        p.y += offset * std::cos(p.heading);
        return p;
    }

    /// Projects a point on the route, looking from segment `hint` forwards and backwards by neighbours only, so that a road
    /// that crosses itself elsewhere does not matter.
    [[nodiscard]] road_place locate(double x, double y, std::size_t hint) const {
        road_place place = project(x, y, hint);
        for (int step = 0; step < 8; ++step) {
            const segment& s = pieces[place.segment];
            if (place.along < s.along && place.segment > 0) {
                const road_place before = project(x, y, place.segment - 1);
                if (before.along >= s.along) break; // the kink between two pieces: either will do
                place = before;
            } else if (place.along >= s.along + s.length && place.segment + 1 < pieces.size()) {
                place = project(x, y, place.segment + 1);
            } else {
                break;
            }
        }
        return place;
    }

    /// The command in force at a distance: a junction's from `announced_ahead` metres before it until its end.
    [[nodiscard]] command command_at(double along, std::size_t hint = 0) const {
        std::size_t i = find(along, hint);
        if (pieces[i].kind == segment_kind::junction) return pieces[i].turn;
        for (++i; i < pieces.size() && pieces[i].along - along <= measure::announced_ahead; ++i)
            if (pieces[i].kind == segment_kind::junction) return pieces[i].turn;
        return command::follow;
    }

private:
    [[nodiscard]] road_place project(double x, double y, std::size_t index) const {
        const segment& s = pieces[index];
        const double c = std::cos(s.start.heading), n = std::sin(s.start.heading);
        const double forward = (x - s.start.x) * c + (y - s.start.y) * n;
        const double left = (y - s.start.y) * c - (x - s.start.x) * n;
        if (s.curvature == 0.0) return {index, s.along + forward, left, s.start.heading};
        // In the frame of the start the circle's centre is (0, radius); the radius is signed.
        const double radius = 1 / s.curvature;
        const double sign = radius > 0 ? 1.0 : -1.0;
        const double angle = std::atan2(forward, (radius - left) * sign); // turned since the start, positive onwards
        const double distance = std::sqrt(forward * forward + (radius - left) * (radius - left));
        return {index, s.along + angle * sign * radius, sign * (sign * radius - distance), s.start.heading + sign * angle};
    }

    void append(segment_kind kind, double length, double curvature, command turn = command::follow, junction_arms arms = {}) {
        segment s{kind, {}, 0, length, curvature, turn, arms};
        if (!pieces.empty()) {
            const segment& last = pieces.back();
            s.start = last.at(last.length);
            s.along = last.along + last.length;
        }
        pieces.push_back(s);
    }

    void grow() {
        if (until_junction == 0) {
            until_junction = 1 + random.below(3);
            turned = 0;
            append(segment_kind::straight, 18 + random.below(14), 0);
            const auto turn = static_cast<command>(1 + random.below(3));
            junction_arms arms{random.below(4) != 0, random.below(4) != 0, random.below(4) != 0};
            if (turn == command::left) arms.left = true;
            if (turn == command::right) arms.right = true;
            if (turn == command::straight) arms.ahead = true;
            if (!arms.left && !arms.right) (random.below(2) != 0 ? arms.left : arms.right) = true; // else it were no junction
            if (turn != command::straight && !arms.ahead && arms.left != arms.right) arms.ahead = true;
            const double radius = measure::junction_half_size;
            if (turn == command::straight)
                append(segment_kind::junction, 2 * radius, 0, turn, arms);
            else
                append(segment_kind::junction, radius * pi / 2, turn == command::left ? 1 / radius : -1 / radius, turn, arms);
            append(segment_kind::straight, 16 + random.below(14), 0);
            return;
        }
        --until_junction;
        // Sharp curves are as frequent as wide ones, so that the network sees enough of them.
        const double radius = 25 + 0.5 * (random.below(3) == 0 ? random.below(190) : random.below(60));
        const double angle = (15 + random.below(61)) * (pi / 180);
        double sign = random.below(2) != 0 ? 1.0 : -1.0;
        if (std::abs(turned + sign * angle) > 1.4) sign = turned > 0 ? -1.0 : 1.0;
        turned += sign * angle;
        append(segment_kind::curve, radius * angle, sign / radius);
        if (random.below(3) != 0) append(segment_kind::straight, 6 + random.below(35), 0);
    }

    random_source random;
    std::vector<segment> pieces;
    int until_junction = 2;
    double turned = 0;
};

} // namespace drive
