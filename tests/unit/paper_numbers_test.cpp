// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file paper_numbers_test.cpp
/// Numbers that Ladon, BottleFit and AI on the Edge print, by the library's own functions.
#include "catch.hpp"
#include "refusals.hpp"

#include <splitdsl/codec/entropy_bottleneck.hpp>
#include <splitdsl/energy/device_profile.hpp>
#include <splitdsl/energy/equations.hpp>
#include <splitdsl/energy/facts_table.hpp>
#include <splitdsl/energy/sample_statistics.hpp>
#include <splitdsl/policy/layer_scan.hpp>
#include <splitdsl/radio/lora.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

using namespace splitdsl;
using namespace std::chrono_literals;

namespace {
facts_table rate_distortion() {
    return read_facts_table(SPLITDSL_SOURCE_DIR "/examples/profiles/ladon_rate_distortion.csv", "backbone,beta,task,score,unit,payload_kb,provenance,source");
}
} // namespace

TEST_CASE("LAD-10: the payloads of Ladon's logs take the printed seconds at 100 kbps and over LoRa, counted in kB of 1,000 bytes") {
    const auto t = rate_distortion();
    const auto lora = radio::nominal_rate({6, 500e3, 1});
    std::vector<double> slow, lora_seconds;
    for (const auto& r : t.rows)
        if (t.text(r, 0) == "ResNet-50" && t.text(r, 2) == "od") {
            const bytes payload{1000 * t.required_number(r, 5)};
            slow.push_back(to_seconds(upload_time(payload, kilobits_per_second(100))));
            lora_seconds.push_back(to_seconds(upload_time(payload, lora)));
        }
    constexpr std::array printed{5.24, 2.55, 0.99, 0.63, 0.33};
    REQUIRE(slow.size() == printed.size());
    for (std::size_t i = 0; i < printed.size(); ++i) CHECK(slow[i] == Approx(printed[i]).margin(0.0051));
    CHECK(lora_seconds.front() == Approx(13.98).margin(0.0051));
    CHECK(lora_seconds.back() == Approx(0.87).margin(0.0051));
    // The logs divide by 1,024: the link then takes 2.4 % longer than printed.
    CHECK(to_seconds(upload_time(bytes{1024 * 65.51}, kilobits_per_second(100))) == Approx(5.37).margin(0.005));
}

TEST_CASE("LAD-10: in every row of Ladon's logs a larger beta means fewer bytes, and no payload exceeds what the wire allows for its latent") {
    const auto t = rate_distortion();
    std::map<std::string, double> before;
    int compared = 0, sized = 0;
    for (const auto& r : t.rows) {
        const auto kb = t.number(r, 5);
        if (!kb) continue;
        const std::string series = t.text(r, 0) + t.text(r, 2);
        if (before.contains(series)) {
            CHECK(*kb < before[series]);
            ++compared;
        }
        before[series] = *kb;
        // 24 x 55 x 55 symbols of a 224 x 224 picture; detection and segmentation take larger ones.
        if (t.text(r, 2) == "ic") {
            CHECK(1024 * *kb < static_cast<double>(encoded_size(codec_id::entropy, std::int64_t{24} * 55 * 55)));
            CHECK(8 * 1024 * *kb / (24 * 55 * 55) > 0.5); // bits a symbol
            ++sized;
        }
    }
    CHECK((t.rows.size() == 21 && compared == 16 && sized == 5));
}

TEST_CASE("LAD-08: Ladon's devices are in the table, and a figure that nobody printed is asked for in vain, by name") {
    const auto devices = read_device_profiles(SPLITDSL_SOURCE_DIR "/examples/profiles/devices.csv");
    CHECK(find_device(devices, "nano").macs_per_second);
    for (const char* const name : {"xavier_nx", "laptop_a500"})
        CHECK(says(refusal([&] { find_device(devices, name).time_of(1e9); }), std::string{"device profile '"} + name + "': expected a figure for macs_per_second, found none"));
}

TEST_CASE("EDGE-03: by table 4 no split of MobileNetV2 at layer 16 is as fast as one node alone") {
    struct row {
        const char* where;
        double node1, node2, whole;
    };
    // The network's time is the same for both and omitted, as in the table: nothing to send, no round trip.
    for (const row& r : {row{"device and edge", 52.19, 4.03, 14.11}, row{"edge and edge", 13.50, 4.03, 14.11}, row{"edge and cloud", 13.05, 0.50, 1.45}}) {
        CAPTURE(r.where);
        const std::vector<policy::layer_cost> layers{{"to layer 16", from_milliseconds(r.node1), from_milliseconds(r.whole - r.node2), {}},
                                     {"behind it", from_milliseconds(r.whole), from_milliseconds(r.node2), {}}};
        const auto report = policy::scan_layers(layers, {}, link_view{.up = true, .rate_up = megabits_per_second(1e6)});
        REQUIRE(report.rows.size() == 3);
        CHECK(to_milliseconds(report.rows[0].total) == Approx(r.whole));            // the whole input to the other node
        CHECK(to_milliseconds(report.rows[1].total) == Approx(r.node1 + r.node2));
        CHECK(report.best == 0);
    }
}

TEST_CASE("BF-14: means come with 90 and 95 % intervals, by Student's t") {
    CHECK(student_t(1, confidence_level::ninety_five) == 12.706);
    CHECK(student_t(30, confidence_level::ninety) == 1.697);
    CHECK(student_t(60, confidence_level::ninety_five) == Approx(2.0003).margin(1e-3));
    CHECK(student_t(120, confidence_level::ninety_five) == Approx(1.9799).margin(1e-3));
    CHECK(student_t(299, confidence_level::ninety) == Approx(1.6500).margin(1e-3)); // 300 pictures
    CHECK(student_t(31, confidence_level::ninety_five) < student_t(30, confidence_level::ninety_five));
    // 1 to 5: mean 3, standard error sqrt(2.5 / 5).
    constexpr std::array samples{1.0, 2.0, 3.0, 4.0, 5.0};
    const auto wide = mean_with_interval(samples, confidence_level::ninety_five), narrow = mean_with_interval(samples, confidence_level::ninety);
    CHECK((wide.mean == Approx(3) && wide.samples == 5));
    CHECK(wide.half_width == Approx(2.776 * std::sqrt(0.5)));
    CHECK(narrow.half_width == Approx(2.132 * std::sqrt(0.5)));
    CHECK(std::isinf(mean_with_interval(std::array{4.0}, confidence_level::ninety).half_width));
    CHECK(mean_with_interval(std::array{4.0, 4.0}, confidence_level::ninety).half_width == 0);
    CHECK(says(refusal<trace_error>([] { mean_with_interval({}, confidence_level::ninety); }), "at least one sample, found none"));
    CHECK(says(refusal<trace_error>([] { mean_with_interval(std::array{1.0, std::nan("")}, confidence_level::ninety); }), "finite samples"));
}

TEST_CASE("BF-17: a power record becomes a distribution over its time, whatever the spacing of its samples") {
    // 1.6 W for a second, up to 6 W within two, back to 2 W in half a second.
    const std::vector<power_sample> record{{0s, {1.6}}, {1s, {1.6}}, {3s, {6.0}}, {3500ms, {2.0}}};
    CHECK(share_at_most(record, {1.5}) == 0);
    CHECK(share_at_most(record, {1.6}) == Approx(1 / 3.5));
    CHECK(share_at_most(record, {3.8}) == Approx((1 + 1 + 0.5 * 1.8 / 4) / 3.5));
    CHECK(share_at_most(record, {6.0}) == 1);
    CHECK(mean_power(record).value == Approx((1.6 + 7.6 + 2.0) / 3.5));
    CHECK(power_quantile(record, 0).value == 1.6);
    CHECK(power_quantile(record, 1 / 3.5).value == Approx(1.6).margin(1e-5));
    CHECK(power_quantile(record, 1).value == Approx(6).margin(1e-5));
    for (const double q : {0.3, 0.5, 0.9}) CHECK(share_at_most(record, power_quantile(record, q)) == Approx(q).margin(1e-5));
    // The same line with more samples on it has the same distribution.
    std::vector<power_sample> finer;
    for (int ms = 0; ms <= 3500; ms += 10) {
        const double s = ms / 1e3;
        finer.push_back({std::chrono::milliseconds{ms}, {s <= 1 ? 1.6 : s <= 3 ? 1.6 + 2.2 * (s - 1) : 6 - 8 * (s - 3)}});
    }
    for (const double w : {1.7, 2.5, 4.0, 5.9}) CHECK(share_at_most(finer, {w}) == Approx(share_at_most(record, {w})).margin(1e-9));
    const std::vector<power_sample> level{{0s, {3.0}}, {1s, {3.0}}};
    CHECK((share_at_most(level, {3.0}) == 1 && power_quantile(level, 0.5).value == 3));
    CHECK(says(refusal<trace_error>([&] { share_at_most(std::span{record}.first(1), {1}); }), "at least two samples, found 1"));
    CHECK(says(refusal<trace_error>([&] { power_quantile(record, 1.5); }), "a share from 0 to 1"));
    CHECK(says(refusal<trace_error>([] { share_at_most(std::array{power_sample{1s, {1}}, power_sample{1s, {2}}}, {1}); }), "expected a time after"));
    CHECK_THROWS_AS(mean_power({}), trace_error);
}
