// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file safetensors_fuzz.cpp
/// Any bytes as a weights file: refused with `weights_error`, or read such that writing it again gives the same tensors.
#include <splitdsl/runtime/safetensors.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {
void must(bool condition) {
    if (!condition) std::abort();
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace splitdsl;
    // A header length that fits is hard to guess: every second input gets one.
    std::vector<std::byte> content(size);
    for (std::size_t i = 0; i < size; ++i) content[i] = std::byte{data[i]};
    if (size > 8 && (data[0] & 1u) != 0) detail::store_u64(content.data(), data[1] % (size - 8) + 1);
    try {
        const safetensors file = parse_safetensors(content);
        for (const tensor_view& t : file.tensors()) {
            const auto elements = elements_of(t.shape);
            must(elements && t.bytes.size() == *elements * bytes_of(t.type));
            must(t.bytes.data() >= content.data() && t.bytes.data() + t.bytes.size() <= content.data() + content.size());
            must(file.find(t.name) == &t);
            if (t.type == tensor_type::float32 || t.type == tensor_type::float16 || t.type == tensor_type::bfloat16)
                must(to_floats(t).size() == *elements);
        }
        const std::vector<std::pair<std::string, std::string>> notes(file.metadata().begin(), file.metadata().end());
        const std::vector<std::byte> again = to_safetensors(file.tensors(), notes);
        const safetensors second = parse_safetensors(again);
        must(content_digest(second) == content_digest(file));
        must(second.metadata().size() == notes.size());
    } catch (const safetensors_error&) {}
    return 0;
}
