// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file weights.hpp
/// Trained parameters of a network: matched strictly against the graph, then laid out for the instruction set that runs it.
#pragma once

#include <splitdsl/detail/number_text.hpp>
#include <splitdsl/runtime/aligned_buffer.hpp>
#include <splitdsl/runtime/dispatch.hpp>
#include <splitdsl/runtime/finite.hpp>
#include <splitdsl/runtime/fixed_array.hpp>
#include <splitdsl/runtime/parameters.hpp>
#include <splitdsl/runtime/prior_weights.hpp>
#include <splitdsl/runtime/safetensors.hpp>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace splitdsl {

namespace detail {

/// What a learned prior was trained with: its layers, and what else CompressAI stores beside the tables.
inline bool is_of_prior(std::string_view name) {
    const std::size_t at = name.find(graph::prior_module);
    return at != std::string_view::npos && (at == 0 || name[at - 1] == '.');
}

/// Names a network leaves alone: its own list (`static constexpr auto ignored() { return std::array{...}; }`, suffixes), the counters
/// PyTorch keeps beside batch norms, the self-test tensors and ranges of files our tools write, also those of its codecs that find theirs per frame, and a prior's training.
template <class Network>
bool is_ignored(std::string_view name) {
    if (name.starts_with("selftest.") || name.starts_with("int8.") || name.ends_with("num_batches_tracked")) return true;
    for (const op& o : graph_of<Network>.ops)
        if (o.kind == op_kind::quantise && (name == std::string(o.label) + ".range" || (graph::has_prior(o) && is_of_prior(name)))) return true;
    if constexpr (requires { Network::ignored(); })
        for (const std::string_view i : Network::ignored())
            if (name.ends_with(i) || name.starts_with(i)) return true;
    return false;
}

/// A dense layer's weight (out, in) where a 1x1 convolution's (out, in, 1, 1) is wanted: the same values in the same order.
inline bool is_dense_form(const std::vector<std::uint64_t>& found, const std::vector<std::uint64_t>& wanted) {
    return found.size() == 2 && wanted.size() == 4 && wanted[2] == 1 && wanted[3] == 1 && found[0] == wanted[0] && found[1] == wanted[1];
}

/// What is wrong with a parameter's values, or nothing: of a codec's range, of bytes' ranges, of a batch norm, of a gdn, and of any. A batch norm takes the
/// root of variance and epsilon, of which a variance may be a little below 0 where an epsilon was taken out of it; a gdn divides a pixel of zeros by beta alone.
inline std::string value_fault(const parameter& p, const std::vector<float>& values, const op* ops) {
    if (p.is_codec_range && !(all_finite(values) && values[0] < values[1] && values[0] <= 0 && values[1] >= 0))
        return p.name + " should hold a least value and a larger one, both finite and 0 between them; found " + detail::number_text(values[0]) + " and " + detail::number_text(values[1]);
    if (!all_finite(values)) return p.name + " holds a value that is not finite";
    if (p.name == "int8.ranges")
        for (std::size_t i = 0; i + 1 < values.size(); i += 2)
            if (values[i] > values[i + 1]) return p.name + " holds a range whose least value is above its largest";
    if (p.op < 0 || p.is_codec_range) return {};
    const op& o = ops[p.op];
    const bool is_variance = o.kind == op_kind::batch_norm && p.name.ends_with("running_var"), is_divisor = o.kind == op_kind::gdn && p.name.ends_with("beta");
    if (!is_variance && !is_divisor) return {};
    const auto text = [](float v) {
        char digits[32];
        return std::string(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
    };
    const double epsilon = is_variance ? static_cast<double>(o.values[0]) : 0;
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!(static_cast<double>(values[i]) + epsilon > 0))
            return p.name + (is_variance ? " should hold variances, at least 0 and with the epsilon of " + text(o.values[0]) + " above it" : std::string{" should hold values above 0"}) + "; found " +
                   text(values[i]) + " at index " + std::to_string(i);
    return {};
}

/// One number for a set of parameters, equal on both sides of a link or the handshake refuses: that of a file which holds them as F32.
inline std::uint64_t digest_of(const std::vector<parameter>& names, const std::vector<std::vector<float>>& values) {
    std::vector<tensor_view> tensors;
    for (std::size_t i = 0; i < names.size(); ++i)
        tensors.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
    return content_digest(tensors);
}

} // namespace detail

/// A network's parameters, packed for the pipeline that runs here. Copies share memory; it stays valid as long as one of them lives.
template <class Network>
class network_weights {
public:
    /// `values`: one vector a parameter, in `parameters<Network>()` order. Refused (weights_error): another number or size of them, values that are not
    /// finite, a codec's range without 0 in it, a prior whose rows do not rise from 0 to 65536, a range of bytes that is upside down, a variance or a gdn's beta that is not above 0.
    explicit network_weights(const std::vector<std::vector<float>>& values, const pipeline& net = pipeline_of<Network>())
        : runs{&net} {
        const std::vector<parameter> names = parameters<Network>();
        if (values.size() != names.size())
            throw weights_error("weights of " + std::string(net.network) + ": " + std::to_string(names.size()) + " parameters were expected, found " + std::to_string(values.size()));
        fixed_array<const float*> pointers{names.size()};
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (values[i].size() != static_cast<std::size_t>(names[i].size()))
                throw weights_error("weights of " + std::string(net.network) + ": " + names[i].name + " needs " + std::to_string(names[i].size()) + " values, found " + std::to_string(values[i].size()));
            if (const std::string fault = detail::value_fault(names[i], values[i], &graph_of<Network>.ops[0]); !fault.empty()) throw weights_error("weights of " + std::string(net.network) + ": " + fault);
            pointers[i] = values[i].data();
        }
        for (std::size_t i = 0; i < names.size(); ++i)
            if (detail::begins_prior(names[i]))
                if (const std::string fault = detail::prior_fault(names, values, i); !fault.empty()) throw weights_error("weights of " + std::string(net.network) + ": " + fault);
        content = detail::digest_of(names, values);
        packed = std::make_shared<aligned_buffer>(net.packed_bytes_for(pointers.data()));
        net.pack(pointers.data(), packed->data());
    }

    const pipeline& net() const { return *runs; }
    std::span<const std::byte> bytes() const { return packed->bytes(); }
    /// Equal on both sides of a link, or the handshake refuses. Does not depend on the instruction set.
    std::uint64_t digest() const { return content; }

private:
    const pipeline* runs;
    std::shared_ptr<aligned_buffer> packed;
    std::uint64_t content{};
};

/// Takes a network's parameters out of a file's tensors. Every difference is listed in one `weights_error`: missing, mis-shaped,
/// mis-typed (F32, F16 and BF16 are taken) and extra tensors, except those on the network's documented ignore list.
/// A dense layer's (out, in) weight is taken for a 1x1 convolution, which is how such layers are declared that run on many vectors at once.
template <class Network>
std::vector<std::vector<float>> match_weights(const safetensors& file, const std::string& where) {
    std::string wrong;
    int differences = 0;
    const auto note = [&](const std::string& line) {
        if (++differences <= 20) wrong += "\n  " + line;
    };
    const std::vector<parameter> names = parameters<Network>();
    std::vector<std::vector<float>> values;
    for (const parameter& p : names) {
        values.emplace_back();
        const auto* t = file.find(p.name);
        if (!t) {
            const char* const who = p.is_codec_range ? "; calibrate_codecs (runtime/codec_calibration.hpp) finds it" : p.name.starts_with("int8.") ? "; calibrate_int8 (runtime/int8_calibration.hpp) finds it" : "";
            note(p.name + " " + detail::shown(p.dims) + " is missing" + who);
            continue;
        }
        if (t->shape != p.dims && !detail::is_dense_form(t->shape, p.dims) && !detail::are_prior_rows(p, t->shape)) {
            note(p.name + " should have shape " + detail::shown(p.dims) + ", found " + detail::shown(t->shape) + detail::prior_advice(p, t->shape));
            continue;
        }
        try {
            values.back() = p.is_prior ? detail::prior_values(p, *t) : to_floats(*t);
            if (const std::string fault = detail::value_fault(p, values.back(), &graph_of<Network>.ops[0]); !fault.empty()) note(fault);
        } catch (const weights_error& e) {
            note(e.what());
        }
    }
    for (std::size_t i = 0; differences == 0 && i < names.size(); ++i)
        if (detail::begins_prior(names[i]))
            if (const std::string fault = detail::prior_fault(names, values, i); !fault.empty()) note(fault);
    bool wrapped = !file.tensors().empty();
    for_each_tensor(file, [&](const auto& t) {
        const std::string name{t.name};
        wrapped = wrapped && name.starts_with("module.");
        for (const parameter& p : names)
            if (p.name == name) return;
        if (!detail::is_ignored<Network>(name)) note(detail::printable(name) + " is not part of the network");
    });
    if (differences > 20) wrong += "\n  ...";
    if (wrapped) wrong += "\n  every name in the file begins with \"module.\": it was saved from a DataParallel. Save model.module.state_dict(), or strip the prefix";
    if (differences > 0)
        throw weights_error(where + " does not fit " + std::string(graph::type_name<Network>()) + " (" + std::to_string(names.size()) + " parameters expected), " +
                            std::to_string(differences) + (differences == 1 ? " difference:" : " differences:") + wrong);
    return values;
}

/// Reads a safetensors file for a network. Throws `weights_error`.
///
/// ```cpp body
/// const auto weights = splitdsl::load_weights<lane_keeper>("lane_keeper.safetensors");
/// ```
template <class Network>
network_weights<Network> load_weights(const std::string& path, const pipeline& net = pipeline_of<Network>()) {
    return network_weights<Network>(match_weights<Network>(read_safetensors(path), path), net);
}

} // namespace splitdsl
