// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file safetensors_test.cpp
/// Weights files: what is written is read again, and files that lie are refused by name.
#include "blobs.hpp"
#include "catch.hpp"
#include "full_disk.hpp"

#include <splitdsl/runtime/safetensors.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

using namespace splitdsl;

namespace {

using fault = safetensors_fault;

/// A file with this header (its length in front) and so many bytes of tensors.
blob file_of(std::string_view header, std::size_t data_bytes) {
    blob b(8);
    detail::store_u64(b.data(), header.size());
    for (const char c : header) b.push_back(static_cast<std::byte>(c));
    for (std::size_t i = 0; i < data_bytes; ++i) b.push_back(static_cast<std::byte>(i));
    return b;
}
blob with_length(blob b, std::uint64_t length) {
    detail::store_u64(b.data(), length);
    return b;
}
std::string tensor_text(std::string_view name, std::string_view type, std::string_view shape, std::uint64_t begin, std::uint64_t end) {
    return "\"" + std::string(name) + "\":{\"dtype\":\"" + std::string(type) + "\",\"shape\":" + std::string(shape) + ",\"data_offsets\":["
           + std::to_string(begin) + "," + std::to_string(end) + "]}";
}
/// A header of one F32 tensor "w" of two values with one field replaced.
std::string one(std::string_view dtype = "\"F32\"", std::string_view shape = "[2]", std::string_view offsets = "[0,8]") {
    return "{\"w\":{\"dtype\":" + std::string(dtype) + ",\"shape\":" + std::string(shape) + ",\"data_offsets\":" + std::string(offsets)
           + "}}";
}

struct refusal {
    bool thrown{};
    fault what{};
    std::string said{};
};
refusal refusal_of(const blob& b) {
    try {
        (void)parse_safetensors(b, "net.safetensors");
    } catch (const safetensors_error& e) { return {true, e.fault, e.what()}; }
    return {};
}

std::string scratch(std::string_view name) {
    return (std::filesystem::temp_directory_path() / ("splitdsl_" + std::to_string(getpid()) + "_" + std::string(name))).string();
}

} // namespace

TEST_CASE("a safetensors file as other tools write it is read") {
    const std::string header = "{\"__metadata__\": {\"format\": \"pt\"}, " + tensor_text("layer1.0.conv.weight", "F32", "[2, 1, 2]", 4, 20)
                               + ",\n\t" + tensor_text("steps", "I32", "[]", 0, 4) + "," + tensor_text("empty", "F16", "[0, 3]", 4, 4)
                               + "}   ";
    const blob b = file_of(header, 20);
    const safetensors file = parse_safetensors(b);
    REQUIRE(file.tensors().size() == 3);
    CHECK(file.tensors()[0].name == "empty");
    const tensor_view* w = file.find("layer1.0.conv.weight");
    REQUIRE(w);
    CHECK(w->type == tensor_type::float32);
    CHECK(w->shape == std::vector<std::uint64_t>{2, 1, 2});
    CHECK(w->bytes.size() == 16);
    CHECK(w->bytes.data() == b.data() + 8 + header.size() + 4);
    CHECK(file.find("steps")->shape.empty());
    CHECK(to_floats(*file.find("empty")).empty());
    CHECK(file.find("layer1.0.conv.weigh") == nullptr);
    CHECK(file.find("") == nullptr);
    REQUIRE(file.metadata("format"));
    CHECK(*file.metadata("format") == "pt");
    CHECK(file.metadata("other") == nullptr);
    CHECK(parse_safetensors(file_of("{}", 0)).tensors().empty());
}

TEST_CASE("names with escapes and beyond ASCII are decoded") {
    const blob b =
        file_of("{" + tensor_text("a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\xc3\xa9", "U8", "[1]", 0, 1) + "}", 1);
    const safetensors file = parse_safetensors(b);
    CHECK(file.tensors()[0].name == "a\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9");
}

TEST_CASE("every known type has its size and spelling") {
    for (int i = 0; i < tensor_types; ++i) {
        const auto type = static_cast<tensor_type>(i);
        CHECK(tensor_type_named(name_of(type)) == type);
        const std::size_t size = 3 * bytes_of(type);
        const blob b = file_of("{" + tensor_text("t", name_of(type), "[3]", 0, size) + "}", size);
        CHECK(parse_safetensors(b).tensors()[0].type == type);
    }
    CHECK(bytes_of(tensor_type::boolean) == 1);
    CHECK(bytes_of(tensor_type::float8_e4m3) == 1);
    CHECK(bytes_of(tensor_type::bfloat16) == 2);
    CHECK(bytes_of(tensor_type::uint32) == 4);
    CHECK(bytes_of(tensor_type::float64) == 8);
    CHECK_FALSE(tensor_type_named("f32"));
}

TEST_CASE("F32, F16 and BF16 become floats, other types a weights error naming both") {
    blob b(4);
    detail::store_u16(b.data(), 0x3c00);
    detail::store_u16(b.data() + 2, 0xc000);
    CHECK(to_floats({"h", tensor_type::float16, {2}, b}) == std::vector<float>{1, -2});
    detail::store_u16(b.data(), 0x3f80);
    CHECK(to_floats({"b", tensor_type::bfloat16, {1}, {b.data(), 2}}) == std::vector<float>{1});
    detail::store_f32(b.data(), 0.1f);
    CHECK(to_floats({"f", tensor_type::float32, {1}, b}) == std::vector<float>{0.1f});
    CHECK_THROWS_WITH(to_floats({"counter", tensor_type::int64, {}, {}}), "tensor \"counter\": F32, F16 or BF16 was expected, found I64");
}

TEST_CASE("random sets of tensors come back from memory and from a file, in any order given") {
    numbers n{17};
    const std::string path = scratch("round.safetensors");
    for (int round = 0; round < 40; ++round) {
        std::vector<blob> content;
        std::vector<tensor_view> tensors;
        const std::size_t count = n.below(12);
        content.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            tensor_view t{.name = "t" + std::to_string(i) + std::string(n.below(5), '"'),
                          .type = static_cast<tensor_type>(n.below(tensor_types))};
            for (std::size_t d = n.below(5); d > 0; --d) t.shape.push_back(n.below(4));
            content.emplace_back(static_cast<std::size_t>(*elements_of(t.shape)) * bytes_of(t.type));
            for (auto& x : content.back()) x = static_cast<std::byte>(n.next());
            t.bytes = content.back();
            tensors.push_back(t);
        }
        const std::vector<std::pair<std::string, std::string>> notes{{"z", "line\nline"}, {"a", "\x01 \xc3\xa9"}};
        const blob b = to_safetensors(tensors, notes);
        write_safetensors(path, tensors, notes);
        for (const safetensors& file : {parse_safetensors(b), read_safetensors(path)}) {
            REQUIRE(file.tensors().size() == tensors.size());
            for (const tensor_view& t : tensors) {
                const tensor_view* found = file.find(t.name);
                REQUIRE(found);
                REQUIRE(found->type == t.type);
                REQUIRE(found->shape == t.shape);
                REQUIRE(std::equal(found->bytes.begin(), found->bytes.end(), t.bytes.begin(), t.bytes.end()));
            }
            REQUIRE(*file.metadata("a") == "\x01 \xc3\xa9");
            REQUIRE(*file.metadata("z") == "line\nline");
            REQUIRE(content_digest(file) == content_digest(tensors));
        }
        std::reverse(tensors.begin(), tensors.end());
        REQUIRE(to_safetensors(tensors, notes) == b);
        REQUIRE(content_digest(tensors) == content_digest(parse_safetensors(b)));
    }
    CHECK_FALSE(std::filesystem::exists(path + ".partial"));
    std::filesystem::remove(path);
}

TEST_CASE("tensors are written aligned for their type") {
    const std::vector<std::byte> zeros(64);
    const std::vector<tensor_view> tensors{{"a", tensor_type::uint8, {3}, {zeros.data(), 3}},
                                           {"b", tensor_type::float16, {1}, {zeros.data(), 2}},
                                           {"c", tensor_type::float64, {1}, {zeros.data(), 8}},
                                           {"d", tensor_type::float32, {3}, {zeros.data(), 12}}};
    const blob b = to_safetensors(tensors);
    const safetensors file = parse_safetensors(b);
    for (const tensor_view& t : file.tensors()) CHECK(static_cast<std::size_t>(t.bytes.data() - b.data()) % bytes_of(t.type) == 0);
    CHECK(static_cast<char>(b[8]) == '{');
    CHECK(detail::load_u64(b.data()) % 8 == 0);
}

TEST_CASE("the writer refuses what no reader should accept") {
    const std::vector<std::byte> zeros(64);
    const std::span<const std::byte> eight{zeros.data(), 8};
    const auto refused = [&](const tensor_view& t) {
        try {
            (void)to_safetensors({&t, 1});
        } catch (const weights_error& e) { return std::string(e.what()); }
        return std::string("accepted");
    };
    CHECK(refused({"w", tensor_type::float32, {2}, eight}) == "accepted");
    CHECK(refused({"w", tensor_type::float32, {3}, eight}) == "safetensors: tensor \"w\" of type F32 and shape (3) does not have 8 bytes");
    CHECK(refused({"w", tensor_type::float32, {1ull << 62, 4}, {}}).find("does not have 0 bytes") != std::string::npos);
    CHECK(refused({"__metadata__", tensor_type::float32, {2}, eight}).find("cannot be called") != std::string::npos);
    CHECK(refused({"bad \xff", tensor_type::float32, {2}, eight}).find("should be UTF-8") != std::string::npos);
    CHECK(refused({"w", tensor_type::uint8, {8, 1, 1, 1, 1, 1, 1, 1, 1}, eight}).find("at most 8 dimensions, found 9")
          != std::string::npos);
    const std::vector<tensor_view> twice{{"w", tensor_type::float32, {2}, eight}, {"w", tensor_type::float64, {1}, eight}};
    CHECK_THROWS_WITH(to_safetensors(twice), "safetensors: tensor \"w\" should be given once, found twice");
    CHECK_THROWS_AS(to_safetensors({}, {{"k", "1"}, {"k", "2"}}), weights_error);
    CHECK_THROWS_WITH(write_safetensors(scratch("no/such/folder/x"), {}), scratch("no/such/folder/x") + ": cannot be written: No such file or directory");
}

TEST_CASE("a full disk leaves the file that was there") {
    const std::string path = scratch("kept.safetensors");
    const std::vector<std::byte> eight(8);
    const tensor_view t{"w", tensor_type::float32, {2}, eight};
    write_safetensors(path, {&t, 1});
    const auto size = std::filesystem::file_size(path);
    CHECK(refusal_on_a_full_disk<weights_error>([&] { write_safetensors(path, {}); }) == path + ": cannot be written: File too large");
    CHECK(std::filesystem::file_size(path) == size);
    CHECK_FALSE(std::filesystem::exists(path + ".partial"));
    std::filesystem::remove(path);
}

TEST_CASE("a link is written through, and a device is not replaced by a file") {
    namespace fs = std::filesystem;
    const std::vector<float> one{1};
    const tensor_view t{"a", tensor_type::float32, {1}, bytes_of_floats(one)};
    const std::string link = scratch("a link"), target = scratch("its target"), full = scratch("a link to a full device");
    for (const std::string& path : {link, target, full}) fs::remove(path);
    fs::create_symlink(target, link);
    write_safetensors(link, {&t, 1});
    CHECK(fs::is_symlink(link));
    CHECK(read_safetensors(target).find("a") != nullptr);
    fs::create_symlink("/dev/full", full);
    CHECK_THROWS_WITH(write_safetensors(full, {&t, 1}), full + ": cannot be written: No space left on device");
    CHECK(fs::is_symlink(full));
    for (const std::string& path : {link, target, full}) fs::remove(path);
}

TEST_CASE("the digest sees names, types, shapes and bytes, and nothing else") {
    std::vector<std::byte> zeros(16), ones(16);
    ones[15] = std::byte{1};
    const std::span<const std::byte> a{zeros}, b{ones};
    const auto digest = [](std::vector<tensor_view> t) { return content_digest(t); };
    std::set<std::uint64_t> all;
    all.insert(digest({}));
    all.insert(digest({{"w", tensor_type::float32, {4}, a}}));
    all.insert(digest({{"v", tensor_type::float32, {4}, a}}));
    all.insert(digest({{"w", tensor_type::int32, {4}, a}}));
    all.insert(digest({{"w", tensor_type::float32, {2, 2}, a}}));
    all.insert(digest({{"w", tensor_type::float32, {4}, b}}));
    all.insert(digest({{"w", tensor_type::float32, {3}, a.first(12)}}));
    all.insert(digest({{"w", tensor_type::float32, {4}, a}, {"v", tensor_type::float32, {4}, b}}));
    all.insert(digest({{"w", tensor_type::float32, {4}, b}, {"v", tensor_type::float32, {4}, a}}));
    CHECK(all.size() == 9);
    CHECK(digest({{"w", tensor_type::float32, {4}, a}, {"v", tensor_type::float32, {4}, b}})
          == digest({{"v", tensor_type::float32, {4}, b}, {"w", tensor_type::float32, {4}, a}}));
    for (std::size_t bit = 0; bit < 128; ++bit) {
        std::vector<std::byte> flipped = zeros;
        flipped[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
        all.insert(digest({{"w", tensor_type::uint8, {16}, flipped}}));
    }
    CHECK(all.size() == 9 + 128);
}

TEST_CASE("hostile safetensors files are refused, each by the name of its defect") {
    struct hostile {
        const char* name;
        blob bytes;
        fault expected;
        const char* word;
    };
    const std::string w = tensor_text("w", "F32", "[2]", 0, 8);
    const blob good = file_of("{" + w + "}", 8);
    REQUIRE_FALSE(refusal_of(good).thrown);
    const auto cut_to = [&](std::size_t n) { return blob(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)); };
    const auto named = [&](std::string_view name) { return file_of("{" + tensor_text(name, "F32", "[2]", 0, 8) + "}", 8); };
    const auto pair_of = [&](std::uint64_t b0, std::uint64_t e0, std::uint64_t b1, std::uint64_t e1, std::size_t data) {
        return file_of("{" + tensor_text("a", "U8", "[" + std::to_string(e0 - b0) + "]", b0, e0) + ","
                           + tensor_text("b", "U8", "[" + std::to_string(e1 - b1) + "]", b1, e1) + "}",
                       data);
    };
    std::string deep = "{\"w\":";
    deep.append(100'000, '[');
    std::string deep_objects = "{";
    for (int i = 0; i < 20'000; ++i) deep_objects += "\"a\":{";

    const std::vector<hostile> all{
        // The length in front
        {"an empty file", {}, fault::too_short, "found 0"},
        {"seven bytes", cut_to(7), fault::too_short, "found 7"},
        {"eight zeros: a header of nothing", blob(8), fault::bad_json, "'{' was expected"},
        {"a header longer than the file by one", with_length(good, good.size() - 7), fault::header_past_end, "(the rest of the file)"},
        {"a header of 100 MB and one byte", with_length(good, 100'000'001), fault::header_too_large, "found 100000001"},
        {"a header of exactly 100 MB that is not there", with_length(good, 100'000'000), fault::header_past_end, "found 100000000"},
        {"a header of 2^64 - 1 bytes", with_length(good, UINT64_MAX), fault::header_too_large, "found 18446744073709551615"},
        {"a length that wraps when 8 is added", with_length(good, UINT64_MAX - 7), fault::header_too_large, "at most 100000000"},
        {"a length with the sign bit", with_length(good, 1ull << 63), fault::header_too_large, "found 9223372036854775808"},
        {"a text", blob(40, std::byte{'t'}), fault::header_too_large, "looks like a text, not like safetensors"},
        {"what torch.save writes", with_length(good, 0x1404034B50), fault::header_too_large, "torch.save"},
        {"a big-endian length", with_length(good, std::uint64_t{good.size() - 16} << 56), fault::header_too_large, "at most 100000000"},
        {"a length one short", with_length(good, good.size() - 17), fault::bad_json, "'}' was expected"},
        {"a file cut inside its header", cut_to(30), fault::header_past_end, "at most 22"},
        {"a file cut inside its tensors", cut_to(good.size() - 1), fault::out_of_bounds, "only 7 bytes"},
        // Not JSON, or not this JSON
        {"a pickle", file_of("\x80\x02}q", 8), fault::bad_json, "first byte"},
        {"a zip archive", file_of("PK\x03\x04", 8), fault::bad_json, "first byte"},
        {"a list instead of an object", file_of("[" + w + "]", 8), fault::bad_json, "first byte"},
        {"a space before the brace", file_of(" {" + w + "}", 8), fault::bad_json, "first byte"},
        {"a byte order mark", file_of("\xef\xbb\xbf{" + w + "}", 8), fault::bad_json, "first byte"},
        {"an object that does not end", file_of("{" + w, 8), fault::bad_json, "the end of the header"},
        {"a comma at the end", file_of("{" + w + ",}", 8), fault::bad_json, "a string was expected"},
        {"a comma at the start", file_of("{," + w + "}", 8), fault::bad_json, "a string was expected"},
        {"no comma between tensors", file_of("{" + w + tensor_text("v", "U8", "[0]", 8, 8) + "}", 8), fault::bad_json, "'}' was expected"},
        {"a key without quotes", file_of("{w:1}", 8), fault::bad_json, "a string was expected"},
        {"a key in single quotes", file_of("{'w':1}", 8), fault::bad_json, "a string was expected"},
        {"no colon", file_of("{\"w\" {}}", 8), fault::bad_json, "':' was expected"},
        {"a comment", file_of("{/* */" + w + "}", 8), fault::bad_json, "a string was expected"},
        {"a tensor that is a number", file_of("{\"w\":1}", 8), fault::bad_json, "'{' was expected"},
        {"a tensor that is null", file_of("{\"w\":null}", 8), fault::bad_json, "'{' was expected"},
        {"100,000 open brackets", file_of(deep, 8), fault::bad_json, "'{' was expected"},
        {"20,000 objects in each other", file_of(deep_objects, 8), fault::unknown_field, "dtype, shape or data_offsets"},
        {"text behind the object", file_of("{" + w + "} x", 8), fault::trailing_text, "nothing but spaces"},
        {"two objects", file_of("{" + w + "}{}", 8), fault::trailing_text, "nothing but spaces"},
        {"zeros as padding", file_of("{" + w + "}" + std::string(4, '\0'), 8), fault::trailing_text, "nothing but spaces"},
        // Strings
        {"a string that does not end", file_of("{\"w", 8), fault::bad_text, "does not end"},
        {"an escape cut off", file_of("{\"w\\", 8), fault::bad_text, "known escape"},
        {"an unknown escape", named("w\\x41"), fault::bad_text, "known escape"},
        {"three hexadecimal digits", named("w\\u041\\n"), fault::bad_text, "four hexadecimal digits"},
        {"a lone first surrogate", named("w\\ud83d"), fault::bad_text, "second half"},
        {"a lone second surrogate", named("w\\ude00"), fault::bad_text, "stands alone"},
        {"two first surrogates", named("w\\ud83d\\ud83d"), fault::bad_text, "second half"},
        {"a line break in a name", named("w\n"), fault::bad_text, "control character"},
        {"a zero byte in a name", named(std::string_view("w\0", 2)), fault::bad_text, "control character"},
        {"a lone continuation byte", named("w\x80"), fault::bad_text, "not UTF-8"},
        {"an overlong slash", named("w\xc0\xaf"), fault::bad_text, "not UTF-8"},
        {"an overlong three-byte sequence", named("w\xe0\x80\xaf"), fault::bad_text, "not UTF-8"},
        {"a surrogate in UTF-8", named("w\xed\xa0\x80"), fault::bad_text, "not UTF-8"},
        {"beyond U+10FFFF", named("w\xf4\x90\x80\x80"), fault::bad_text, "not UTF-8"},
        {"a sequence cut off by the quote", named("w\xe2\x82"), fault::bad_text, "not UTF-8"},
        // Fields
        {"no dtype", file_of("{\"w\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8), fault::missing_field, "dtype is missing"},
        {"no shape", file_of("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8), fault::missing_field, "shape is missing"},
        {"no data_offsets", file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8), fault::missing_field, "data_offsets is missing"},
        {"an empty tensor object", file_of("{\"w\":{}}", 8), fault::missing_field, "in tensor \"w\""},
        {"a field of another format", file_of("{\"w\":{\"dtype\":\"F32\",\"strides\":[1],\"shape\":[2],\"data_offsets\":[0,8]}}", 8),
         fault::unknown_field, "found \"strides\""},
        {"dtype twice", file_of("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8),
         fault::duplicate_key, "\"dtype\" should appear once"},
        {"shape twice", file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[1],\"data_offsets\":[0,8]}}", 8), fault::duplicate_key,
         "\"shape\" should appear once"},
        {"data_offsets twice", file_of("{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"data_offsets\":[0,8]}}", 8),
         fault::duplicate_key, "\"data_offsets\""},
        {"a tensor twice", file_of("{" + w + "," + w + "}", 8), fault::duplicate_key, "tensor \"w\" should appear once"},
        {"a tensor twice, once in escapes", file_of("{" + w + "," + tensor_text("\\u0077", "F32", "[2]", 8, 16) + "}", 16),
         fault::duplicate_key, "tensor \"w\" should appear once"},
        {"metadata twice", file_of("{\"__metadata__\":{},\"__metadata__\":{}," + w + "}", 8), fault::duplicate_key,
         "\"__metadata__\" should appear once"},
        {"a key of the metadata twice", file_of("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}," + w + "}", 8), fault::duplicate_key,
         "metadata \"k\""},
        {"a number in the metadata", file_of("{\"__metadata__\":{\"k\":1}," + w + "}", 8), fault::bad_metadata, "a string was expected"},
        {"metadata that is a string", file_of("{\"__metadata__\":\"k\"," + w + "}", 8), fault::bad_metadata, "'{' was expected"},
        {"an object in the metadata", file_of("{\"__metadata__\":{\"k\":{}}," + w + "}", 8), fault::bad_metadata, "a string was expected"},
        {"metadata shaped like a tensor", file_of("{" + tensor_text("__metadata__", "F32", "[2]", 0, 8) + "}", 8), fault::bad_metadata,
         "a string was expected"},
        // Types and numbers
        {"a type nobody knows", file_of(one("\"F31\""), 8), fault::unknown_type, "found \"F31\""},
        {"a type in lower case", file_of(one("\"f32\""), 8), fault::unknown_type, "found \"f32\""},
        {"a type of nothing", file_of(one("\"\""), 8), fault::unknown_type, "found \"\""},
        {"a type with a zero byte", file_of(one("\"F32\\u0000\""), 8), fault::unknown_type, "found \"F32?\""},
        {"a type that is a number", file_of(one("32"), 8), fault::bad_json, "a string was expected"},
        {"a shape that is a number", file_of(one("\"F32\"", "2"), 8), fault::bad_json, "'[' was expected"},
        {"a shape in a shape", file_of(one("\"F32\"", "[[2]]"), 8), fault::bad_number, "a non-negative integer was expected"},
        {"a shape of text", file_of(one("\"F32\"", "[\"2\"]"), 8), fault::bad_number, "a non-negative integer was expected"},
        {"a negative dimension", file_of(one("\"F32\"", "[-2]"), 8), fault::bad_number, "found \"-2]"},
        {"a fractional dimension", file_of(one("\"F32\"", "[2.0]"), 8), fault::bad_number, "a fraction or an exponent"},
        {"an exponent", file_of(one("\"F32\"", "[2e0]"), 8), fault::bad_number, "a fraction or an exponent"},
        {"a leading zero", file_of(one("\"F32\"", "[02]"), 8), fault::bad_number, "leading zeros"},
        {"a plus sign", file_of(one("\"F32\"", "[+2]"), 8), fault::bad_number, "a non-negative integer was expected"},
        {"a hexadecimal dimension", file_of(one("\"F32\"", "[0x2]"), 8), fault::bad_json, "']' was expected"},
        {"a dimension of 2^64", file_of(one("\"F32\"", "[18446744073709551616]"), 8), fault::bad_number, "below 2^64"},
        {"a dimension of thirty digits", file_of(one("\"F32\"", "[999999999999999999999999999999]"), 8), fault::bad_number, "below 2^64"},
        {"a comma behind the last dimension", file_of(one("\"F32\"", "[2,]"), 8), fault::bad_number, "a non-negative integer was expected"},
        {"a list that does not end", file_of("{\"w\":{\"shape\":[2", 8), fault::bad_json, "']' was expected"},
        {"nine dimensions", file_of(one("\"F32\"", "[1,1,1,1,1,1,1,1,2]"), 8), fault::rank_too_large, "at most 8 numbers"},
        {"a shape whose product wraps to 2", file_of(one("\"F32\"", "[4294967296,4294967296,2]"), 8), fault::shape_overflow,
         "(4294967296, 4294967296, 2)"},
        {"a shape whose bytes wrap to 8", file_of(one("\"F32\"", "[4611686018427387906]"), 8), fault::shape_overflow, "64 bits"},
        {"the largest dimension there is", file_of(one("\"U8\"", "[18446744073709551615]"), 8), fault::size_mismatch,
         "18446744073709551615 bytes, found 8"},
        // Ranges
        {"one offset", file_of(one("\"F32\"", "[2]", "[8]"), 8), fault::bad_range, "found 1"},
        {"three offsets", file_of(one("\"F32\"", "[2]", "[0,8,8]"), 8), fault::bad_range, "at most 2"},
        {"no offsets", file_of(one("\"F32\"", "[2]", "[]"), 8), fault::bad_range, "found 0"},
        {"negative offsets", file_of(one("\"F32\"", "[2]", "[-8,0]"), 8), fault::bad_number, "found \"-8,0]"},
        {"an end before its begin", file_of(one("\"F32\"", "[2]", "[8,0]"), 8), fault::bad_range, "ends before it begins"},
        {"an end one beyond the file", file_of(one("\"U8\"", "[9]", "[0,9]"), 8), fault::out_of_bounds, "only 8 bytes follow"},
        {"offsets near 2^64", file_of(one("\"F32\"", "[2]", "[18446744073709551607,18446744073709551615]"), 8), fault::out_of_bounds,
         "only 8 bytes follow"},
        {"offsets counted from the file's start", file_of(one("\"F32\"", "[2]", "[72,80]"), 8), fault::out_of_bounds,
         "only 8 bytes follow"},
        {"a range shorter than the shape", file_of(one("\"F32\"", "[3]"), 8), fault::size_mismatch, "should have 12 bytes, found 8"},
        {"a range longer than the shape", file_of(one("\"F32\"", "[1]"), 8), fault::size_mismatch, "should have 4 bytes, found 8"},
        {"bytes for a shape with a zero", file_of(one("\"F32\"", "[2,0]"), 8), fault::size_mismatch, "should have 0 bytes, found 8"},
        {"a scalar of two values", file_of(one("\"F32\"", "[]"), 8), fault::size_mismatch, "should have 4 bytes, found 8"},
        {"two tensors in the same bytes", pair_of(0, 8, 0, 8, 8), fault::overlap, "overlaps another tensor"},
        {"two tensors that share one byte", pair_of(0, 5, 4, 8, 8), fault::overlap, "should begin at byte 5, found 4"},
        {"one tensor inside another", pair_of(0, 8, 2, 4, 8), fault::overlap, "overlaps another tensor"},
        {"an empty tensor inside another", pair_of(0, 8, 4, 4, 8), fault::overlap, "overlaps another tensor"},
        {"a hole between two tensors", pair_of(0, 3, 4, 8, 8), fault::gap, "should begin at byte 3, found 4"},
        {"a hole in front", file_of(one("\"U8\"", "[7]", "[1,8]"), 8), fault::gap, "should begin at byte 0, found 1"},
        {"bytes behind the last tensor", file_of("{" + w + "}", 9), fault::uncovered, "should cover 9 bytes, found 8"},
        {"bytes and no tensor", file_of("{}", 1), fault::uncovered, "should cover 1 bytes, found 0"},
    };
    CHECK(all.size() >= 60);
    std::set<std::string> names;
    std::set<fault> seen;
    const std::string path = scratch("hostile.safetensors");
    for (const hostile& h : all) {
        INFO(h.name);
        CHECK(names.insert(h.name).second);
        seen.insert(h.expected);
        const refusal r = refusal_of(h.bytes);
        INFO(r.said);
        REQUIRE(r.thrown);
        CHECK(static_cast<int>(r.what) == static_cast<int>(h.expected));
        CHECK(r.said.find(h.word) != std::string::npos);
        CHECK(r.said.starts_with("net.safetensors: "));
        // The same from a file, and the sentence stays fit for one line of a log.
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(h.bytes.data()), static_cast<std::streamsize>(h.bytes.size()));
        try {
            (void)read_safetensors(path);
            FAIL("the file was accepted");
        } catch (const safetensors_error& e) {
            CHECK(static_cast<int>(e.fault) == static_cast<int>(h.expected));
            CHECK(std::string(e.what()) == path + r.said.substr(std::strlen("net.safetensors")));
        }
        CHECK(r.said.size() < 600);
        CHECK(std::all_of(r.said.begin(), r.said.end(), [](char c) { return c >= ' ' && c <= '~'; }));
    }
    std::filesystem::remove(path);
    CHECK(seen.size() == safetensors_faults - 1); // `unreadable` has its own test
}

TEST_CASE("what is no ordinary file is refused by its path") {
    const auto said = [](const std::string& path) {
        try {
            (void)read_safetensors(path);
        } catch (const safetensors_error& e) {
            CHECK(e.fault == fault::unreadable);
            return std::string(e.what());
        }
        return std::string("read");
    };
    const std::string missing = scratch("nowhere.safetensors");
    CHECK(said(missing) == missing + ": an ordinary file was expected, found no such file");
    const std::string folder = std::filesystem::temp_directory_path().string();
    CHECK(said(folder) == folder + ": an ordinary file was expected, found a folder");
    CHECK(said("/dev/zero") == "/dev/zero: an ordinary file was expected, found no ordinary file");
}

TEST_CASE("a file cut anywhere, or with any byte changed, is read or refused, never more") {
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    const std::vector<tensor_view> tensors{{"stem.weight", tensor_type::float32, {2, 2}, bytes_of_floats({values.data(), 4})},
                                           {"stem.bias", tensor_type::float32, {2}, bytes_of_floats({values.data() + 4, 2})}};
    const blob good = to_safetensors(tensors, {{"format", "pt"}});
    for (std::size_t n = 0; n < good.size(); ++n)
        REQUIRE(refusal_of(blob(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n))).thrown);
    numbers r{5};
    for (std::size_t at = 0; at < good.size(); ++at)
        for (int i = 0; i < 8; ++i) {
            blob bad = good;
            bad[at] = static_cast<std::byte>(r.next());
            try {
                const safetensors file = parse_safetensors(bad);
                for (const tensor_view& t : file.tensors()) {
                    REQUIRE(t.bytes.data() >= bad.data());
                    REQUIRE(t.bytes.data() + t.bytes.size() <= bad.data() + bad.size());
                    REQUIRE(t.bytes.size() == *elements_of(t.shape) * bytes_of(t.type));
                }
            } catch (const safetensors_error&) {
                REQUIRE(at < good.size() - 24); // the tensors' own bytes cannot make a file malformed
            }
        }
}
