// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file exit_answers.hpp
/// What a network with exits would answer: recorded logits a picture and exit, and a pair of sizes where two layers are fused.
///
/// A safetensors file. `labels` (pictures) is I64, I32 or U8; the others are logits in F32, F16 or BF16 under a group's name, because
/// baselines are trained differently from FLEET:
///
/// | tensor          | shape                                        | whose answer                                                  |
/// |-----------------|----------------------------------------------|---------------------------------------------------------------|
/// | `GROUP.trunk`   | pictures, classes                            | the whole network's on the device                             |
/// | `GROUP.local`   | pictures, exits, classes                     | an exit's on the device                                       |
/// | `GROUP.cloud`   | pictures, streams, sizes + 1, sizes, classes | the cloud's for a stream; third: size of the one before, or 0 |
/// | `GROUP.offload` | pictures, choices, classes                   | the cloud's for an offload (`exit_network::offload_choice`)   |
///
/// A NaN among the cloud's logits marks a pair of sizes that was not recorded: no answer comes. A policy that needs a tensor which its group lacks
/// cannot send: `fleet_simulator` counts its actions as violations, `splitdsl-sim` refuses it.
#pragma once

#include <splitdsl/error.hpp>
#include <splitdsl/policy/confidence.hpp>
#include <splitdsl/runtime/safetensors.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace splitdsl::sim {

inline constexpr std::size_t most_predictions = std::size_t{1} << 27; ///< of one group

/// Logits made smaller: a class and a confidence each.
class exit_answers {
public:
    struct sizes {
        std::size_t pictures{}, exits{}, streams{}, levels{}, choices{};
    };
    exit_answers() = default;
    exit_answers(std::vector<int> truth, sizes s) : labels(std::move(truth)), shape(s) {}

    const sizes& counts() const { return shape; }
    std::size_t pictures() const { return shape.pictures; }
    int label(std::size_t picture) const { return labels[picture]; }
    bool has_trunk() const { return !trunks.empty(); }

    /// The device's own answer; of the last exit if the group has no trunk.
    policy::prediction trunk(std::size_t picture) const {
        return has_trunk() ? trunks[picture].full() : local(picture, static_cast<int>(shape.exits) - 1);
    }
    policy::prediction local(std::size_t picture, int exit) const { return locals[picture * shape.exits + at(exit)].full(); }
    /// `before`: complete sizes of the stream before, 0 for none; `here`: complete sizes of this one, at least 1.
    policy::prediction cloud(std::size_t picture, int stream, int before, int here) const {
        return clouds[((picture * shape.streams + at(stream)) * (shape.levels + 1) + at(before)) * shape.levels + at(here - 1)].full();
    }
    policy::prediction offload(std::size_t picture, int choice) const { return offloads[picture * shape.choices + at(choice)].full(); }

    /// The answers to these pictures, in this order; one may come more than once. Refused (option_error): one that there is not.
    exit_answers of(std::span<const std::size_t> chosen) const {
        for (const std::size_t p : chosen)
            if (p >= shape.pictures) throw option_error("exit answers: pictures below " + std::to_string(shape.pictures) + " were expected, found " + std::to_string(p));
        sizes s = shape;
        s.pictures = chosen.size();
        exit_answers picked{{}, s};
        const auto copy = [&](const std::vector<entry>& from, std::vector<entry>& into) {
            const auto each = static_cast<std::ptrdiff_t>(from.size() / std::max<std::size_t>(shape.pictures, 1));
            for (const std::size_t p : chosen) {
                const auto row = from.begin() + static_cast<std::ptrdiff_t>(p) * each;
                into.insert(into.end(), row, row + each);
            }
        };
        for (const std::size_t p : chosen) picked.labels.push_back(labels[p]);
        copy(trunks, picked.trunks), copy(locals, picked.locals), copy(clouds, picked.clouds), copy(offloads, picked.offloads);
        return picked;
    }

private:
    struct entry {
        float confidence{};
        std::int32_t label{-1};
        policy::prediction full() const { return {label, confidence}; }
    };
    static std::size_t at(int i) { return static_cast<std::size_t>(i); }
    friend exit_answers read_exit_answers(const safetensors&, const std::string&, policy::confidence_kind, const std::string&);

    std::vector<int> labels{};
    sizes shape{};
    std::vector<entry> trunks{}, locals{}, clouds{}, offloads{};
};

namespace exit_parts {

inline std::vector<int> labels_of(const tensor_view& t, const std::string& where) {
    const auto refuse = [&](const std::string& expected, const std::string& found) {
        throw weights_error(where + ": labels: expected " + expected + ", found " + found);
    };
    if (t.shape.size() != 1) refuse("one dimension", std::to_string(t.shape.size()));
    if (t.type != tensor_type::int64 && t.type != tensor_type::int32 && t.type != tensor_type::uint8)
        refuse("I64, I32 or U8", std::string(name_of(t.type)));
    const std::size_t width = bytes_of(t.type);
    std::vector<int> labels;
    for (std::size_t i = 0; i < t.bytes.size() / width; ++i) {
        std::uint64_t v = 0;
        for (std::size_t b = 0; b < width; ++b) v |= std::to_integer<std::uint64_t>(t.bytes[i * width + b]) << (8 * b);
        if (v > 65'535) refuse("classes from 0 to 65535", "another number at picture " + std::to_string(i));
        labels.push_back(static_cast<int>(v));
    }
    if (labels.empty()) refuse("at least one picture", "none");
    return labels;
}

/// Calls `put(prediction)` for each row of logits, row after row; the file's own memory is all there is besides.
template <class Put>
void each_prediction(const tensor_view& t, policy::confidence_kind kind, Put put) {
    const std::size_t classes = static_cast<std::size_t>(t.shape.back()), width = bytes_of(t.type) * classes;
    tensor_view row{.name = t.name, .type = t.type, .shape = {t.shape.back()}};
    for (std::size_t i = 0; i * width < t.bytes.size(); ++i) {
        row.bytes = t.bytes.subspan(i * width, width);
        put(policy::predict(to_floats(row), kind));
    }
}

} // namespace exit_parts

/// One group of a file. Memory: 8 bytes a prediction, at most 2^27 of them. Refused (weights_error, naming tensor, expected and found): no
/// labels, no tensor of the group, wrong ranks, numbers of pictures, sizes or classes that contradict each other, logits that are not
/// finite (NaN where the cloud has no answer excepted), too many predictions.
///
/// ```cpp
/// const auto file = read_safetensors("fleet_cifar10.safetensors");
/// const auto answers = sim::read_exit_answers(file, "fleet");
/// ```
inline exit_answers read_exit_answers(const safetensors& file, const std::string& group,
                                      policy::confidence_kind kind = policy::confidence_kind::top1, const std::string& where = "answers") {
    const tensor_view* const truth = file.find("labels");
    if (truth == nullptr) throw weights_error(where + ": expected a tensor labels, found none");
    std::vector<int> labels = exit_parts::labels_of(*truth, where);
    const int last_class = *std::max_element(labels.begin(), labels.end());
    std::uint64_t classes = 0;
    std::string first;
    exit_answers a;
    a.shape.pictures = labels.size();
    a.labels = std::move(labels);
    bool any = false;
    const auto take = [&](const char* what, std::size_t rank, std::vector<exit_answers::entry>& into, auto read_shape) {
        const tensor_view* const t = file.find(group + "." + what);
        if (t == nullptr) return;
        any = true;
        const auto refuse = [&](const std::string& expected, const std::string& found) {
            throw weights_error(where + ": " + t->name + ": expected " + expected + ", found " + found);
        };
        if (t->shape.size() != rank) refuse(std::to_string(rank) + " dimensions", std::to_string(t->shape.size()));
        if (t->shape[0] != a.shape.pictures)
            refuse(std::to_string(a.shape.pictures) + " pictures, as there are labels", std::to_string(t->shape[0]));
        if (t->type != tensor_type::float32 && t->type != tensor_type::float16 && t->type != tensor_type::bfloat16)
            refuse("F32, F16 or BF16", std::string(name_of(t->type)));
        if (t->shape.back() < 1 || t->shape.back() > 65'536) refuse("1 to 65536 classes", std::to_string(t->shape.back()));
        if (classes != 0 && t->shape.back() != classes) refuse(std::to_string(classes) + " classes, as " + first, std::to_string(t->shape.back()));
        if (static_cast<std::uint64_t>(last_class) >= t->shape.back())
            refuse("more than " + std::to_string(last_class) + " classes, for that is a label", std::to_string(t->shape.back()));
        classes = t->shape.back(), first = t->name;
        std::size_t rows = 1;
        for (std::size_t d = 0; d + 1 < rank; ++d) {
            if (t->shape[d] < 1 || t->shape[d] > most_predictions / rows)
                refuse("at most 2^27 rows of logits, at least 1", "a dimension of " + std::to_string(t->shape[d]));
            rows *= static_cast<std::size_t>(t->shape[d]);
        }
        read_shape(*t, refuse);
        into.reserve(rows);
        const bool always = &into == &a.trunks || &into == &a.locals; // the device's
        exit_parts::each_prediction(*t, kind, [&](const policy::prediction& p) {
            if (!std::isfinite(p.confidence) || (always && p.label < 0)) refuse("finite logits", "others in row " + std::to_string(into.size()));
            into.push_back({p.confidence, p.label});
        });
    };
    take("trunk", 2, a.trunks, [](const tensor_view&, auto&) {});
    take("local", 3, a.locals, [&](const tensor_view& t, auto&) { a.shape.exits = static_cast<std::size_t>(t.shape[1]); });
    take("cloud", 5, a.clouds, [&](const tensor_view& t, auto& refuse) {
        a.shape.streams = static_cast<std::size_t>(t.shape[1]);
        a.shape.levels = static_cast<std::size_t>(t.shape[3]);
        if (t.shape[2] != t.shape[3] + 1)
            refuse("one size more of the stream before (none) than of the stream",
                   std::to_string(t.shape[2]) + " and " + std::to_string(t.shape[3]));
    });
    take("offload", 3, a.offloads, [&](const tensor_view& t, auto&) { a.shape.choices = static_cast<std::size_t>(t.shape[1]); });
    if (!any) throw weights_error(where + ": expected tensors " + group + ".trunk, .local, .cloud or .offload, found none of them");
    if (!a.has_trunk() && a.shape.exits == 0)
        throw weights_error(where + ": expected " + group + ".trunk or .local, or the device has no answer; found neither");
    return a;
}

} // namespace splitdsl::sim
