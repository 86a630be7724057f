// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file record.hpp
/// What a drive writes down: every frame under every policy, and the terms it was driven on. The reports read nothing else.
#pragma once

#include <splitdsl/energy/idle_scope.hpp>
#include <splitdsl/energy/provenance.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace drive {

/// Who answered a frame, as in the glossary. An answer by default (`preset`) counts as held.
enum class frame_source : std::uint8_t { edge, cloud, fallback, held };
inline constexpr std::size_t frame_sources = 4;

constexpr std::string_view to_text(frame_source s) {
    switch (s) {
    case frame_source::edge: return "edge";
    case frame_source::cloud: return "cloud";
    case frame_source::fallback: return "fallback";
    case frame_source::held: return "held";
    }
    return "unknown";
}

/// Not known at that moment: no estimate yet, no threshold. JSON says null, plots leave a gap.
inline constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// Joules on the device, by what they were spent on.
struct energy_split {
    double compute{}, radio{}, idle{};
    constexpr double total() const { return compute + radio + idle; }
    constexpr energy_split& operator+=(const energy_split& b) {
        compute += b.compute;
        radio += b.radio;
        idle += b.idle;
        return *this;
    }
};

/// The same frames charged under both readings of "idle"; see docs/design/energy.md.
struct energy_by_scope {
    energy_split wait{}, transmit_and_wait{};
    constexpr const energy_split& operator[](splitdsl::idle_scope s) const {
        return s == splitdsl::idle_scope::wait ? wait : transmit_and_wait;
    }
    constexpr energy_split& operator[](splitdsl::idle_scope s) { return s == splitdsl::idle_scope::wait ? wait : transmit_and_wait; }
    constexpr energy_by_scope& operator+=(const energy_by_scope& b) {
        wait += b.wait;
        transmit_and_wait += b.transmit_and_wait;
        return *this;
    }
};

/// One frame of one policy's drive.
struct frame_record {
    double time_s{}; ///< when the camera handed it over, from the start of this policy's drive
    frame_source source{frame_source::edge};
    bool answered{true}; ///< an answer of any source was delivered
    bool miss{};         ///< not answered by the deadline (without a fallback: held as well)
    bool host_stall{};   ///< with `miss`: the host did not let the process run; reported apart from misses
    bool blackout{};     ///< the link was black, or the cloud dead, at some time between frame and deadline
    bool off_road{};
    double latency_ms{};            ///< frame to answer
    double rate_kbps{unknown};      ///< what the link really carried then
    double estimate_kbps{unknown};  ///< what the edge believed when it decided
    double threshold_kbps{unknown}; ///< r_th when it decided (SAGE)
    energy_by_scope energy_j{};
    double lane_deviation_m{}; ///< of the car's centre from the commanded lane's; unknown without a road, as x_m and y_m are
    std::uint64_t bytes_up{};  ///< handed to the link for this frame, headers included
    double x_m{}, y_m{};       ///< where the car was
};

/// One policy's drive.
struct policy_record {
    std::string name{}; ///< all_edge, all_cloud, sage
    std::vector<frame_record> frames{};
    std::uint64_t bytes_up{};     ///< everything: payloads, probes, handshakes; 0: the frames' sum is reported
    std::uint64_t late_dropped{}; ///< replies after their frame was answered
    std::uint64_t duplicates_dropped{};
    std::uint64_t duplicates_delivered{}; ///< second answers that reached the car: must be 0
    energy_by_scope probes_j{};           ///< of probes between frames; added to the frames' sum
};

/// One stage as the compiler sees it.
struct stage_record {
    std::string name{}, place{};
    std::string role{};  ///< head, bottleneck, tail
    std::string shape{}; ///< what it hands on, e.g. "3 × 12 × 26"
    std::uint64_t macs{};
    std::size_t payload_bytes{}; ///< of the cut that ends this stage, without the wire header; 0: none
    double device_ms{unknown};   ///< on the device, paced to its profile
    double cloud_ms{unknown};    ///< on the cloud
};

struct pipeline_record {
    std::string network{};
    std::string input{}; ///< e.g. "camera 3 × 88 × 200, u8"
    std::size_t input_bytes{};
    std::vector<stage_record> stages{}; ///< in running order; where the place changes, the link lies
};

struct interval {
    double begin_s{}, end_s{};
};

/// The terms of the drive; all of them are printed.
struct scenario_record {
    std::string file{}; ///< the scenario file
    std::string device{"nano"};
    double device_gmacs_per_s{12.5}, active_w{4.3};
    double idle_w{1.25}; ///< an assumption, and printed as one
    std::string radio{"LTE"};
    double rtt_ms{10}, deadline_ms{100}, reserve_ms{unknown};
    double frames_per_s{10};
    int jpeg_quality{}; ///< of all_cloud; 0: not known
    std::vector<interval> blackouts{};
    std::vector<double> kills_s{};    ///< kill -9 of the cloud
    std::vector<std::string> notes{}; ///< further terms, one sentence each
};

struct host_record {
    std::string machine{}, cpu{}, system{}, compiler{}, instruction_set{};
    unsigned cores{};
};

/// A whole drive: the input of every report.
struct drive_record {
    host_record host{};
    std::string command{}; ///< that makes this report again
    std::string date{};
    std::uint64_t seed{};
    std::string trace{}; ///< the generator's name, or the replayed file's
    std::uint64_t fingerprint{};
    bool simulated{};                                                    ///< virtual time instead of clocks, processes and sockets
    splitdsl::idle_scope scope{splitdsl::idle_scope::transmit_and_wait}; ///< the one `energy_j` speaks of
    scenario_record scenario{};
    pipeline_record pipeline{};
    std::vector<policy_record> policies{};

    const policy_record* find(std::string_view name) const {
        for (const policy_record& p : policies)
            if (p.name == name) return &p;
        return nullptr;
    }
    /// What latencies, sources, misses and bytes are.
    splitdsl::provenance time_label() const { return simulated ? splitdsl::provenance::simulated : splitdsl::provenance::measured; }
    /// What joules are: no power meter is read.
    splitdsl::provenance energy_label() const { return weaker(time_label(), splitdsl::provenance::modelled); }
    /// What lane deviations are: the road is drawn, whatever the clock.
    static constexpr splitdsl::provenance road_label() { return splitdsl::provenance::simulated; }
};

} // namespace drive
