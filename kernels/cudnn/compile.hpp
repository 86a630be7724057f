// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file compile.hpp
/// Our device code becomes machine code for the GPU at hand: by NVRTC once, from a file on disk afterwards.
#pragma once

#include <kernels/cudnn/libraries.hpp>
#include <kernels/cudnn/source/all.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace splitdsl::kernels::cudnn {

/// The whole source. Lines end behind statements, so that a compiler's message names a place.
inline std::string device_source() {
    std::string s = device_prelude;
    for (const char* const text : device_texts) {
        for (const char* c = text; *c; ++c) {
            s += *c;
            if (*c == ';' || *c == '{' || *c == '}') s += '\n';
        }
        s += '\n';
    }
    return s;
}

/// The newest of NVRTC's targets that runs on `arch`; 0: there is none.
inline int target_for(const compiler_api& nvrtc, int arch) {
    int count = 0, best = 0;
    if (nvrtc.targets(&count) != 0 || count <= 0) return arch;
    std::vector<int> all(static_cast<std::size_t>(count));
    if (nvrtc.target_list(all.data()) != 0) return arch;
    for (const int target : all)
        if (target <= arch) best = std::max(best, target);
    return best;
}

/// `arch`: 90 for compute capability 9.0; `more`: an option for NVRTC. For a GPU that is newer than NVRTC this is portable code, which the driver
/// translates. Throws `device_error` with the compiler's first lines. Cost: seconds.
inline std::vector<char> compile_device_code(const compiler_api& nvrtc, const std::string& source, int arch, const char* more = nullptr) {
    const int known = target_for(nvrtc, arch);
    if (known == 0) throw device_error(device_failure::unsupported, "NVRTC knows no target for compute capability " + std::to_string(arch / 10) + "." + std::to_string(arch % 10) + ": the GPU is too old for it");
    const bool is_portable = known != arch;
    handle program = nullptr;
    if (nvrtc.create(&program, source.c_str(), "splitdsl.cu", 0, nullptr, nullptr) != 0)
        throw device_error(device_failure::unsupported, "NVRTC does not take the device code");
    struct closing {
        const compiler_api& with;
        handle& what;
        ~closing() { with.destroy(&what); }
    } close{nvrtc, program};
    const std::string target = std::string("--gpu-architecture=") + (is_portable ? "compute_" : "sm_") + std::to_string(known);
    const char* const options[]{target.c_str(), "--std=c++17", "--prec-div=true", "--prec-sqrt=true", "--ftz=false", more};
    if (nvrtc.compile(program, more ? 6 : 5, options) != 0) {
        std::size_t size = 0;
        std::string log;
        if (nvrtc.log_size(program, &size) == 0 && size > 1) {
            log.resize(size);
            nvrtc.log(program, log.data());
            log = log.substr(0, 2000);
        }
        throw device_error(device_failure::unsupported, "NVRTC does not compile the device code for sm_" + std::to_string(arch) + ": " + log);
    }
    std::size_t size = 0;
    if ((is_portable ? nvrtc.portable_size : nvrtc.code_size)(program, &size) != 0 || size == 0) throw device_error(device_failure::unsupported, "NVRTC gave no machine code for sm_" + std::to_string(arch));
    std::vector<char> code(size);
    (is_portable ? nvrtc.portable : nvrtc.code)(program, code.data());
    return code;
}

namespace detail {
inline std::uint64_t text_hash(const void* bytes, std::size_t size, std::uint64_t h = 0xcbf29ce484222325U) {
    for (std::size_t i = 0; i < size; ++i) h = (h ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3U;
    return h;
}
inline std::string hex_text(std::uint64_t v) {
    char text[24];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(v));
    return text;
}
} // namespace detail

/// SPLITDSL_CACHE, or splitdsl below the user's cache folder; empty (nothing is kept) where there is neither.
inline std::string default_code_folder() {
    if (const char* own = std::getenv("SPLITDSL_CACHE")) return own;
    if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg) return std::string(xdg) + "/splitdsl";
    if (const char* home = std::getenv("HOME"); home && *home) return std::string(home) + "/.cache/splitdsl";
    return {};
}

/// Machine code from the file, or compiled now and written to it. A file is named after source, target and compiler, and begins with a hash
/// of what follows: one that is damaged is compiled again. A folder that cannot be written is no error.
inline std::vector<char> device_code(const compiler_api& nvrtc, const std::string& source, int arch, const std::string& folder) {
    int major = 0, minor = 0;
    nvrtc.version(&major, &minor);
    const std::uint64_t name = detail::text_hash(source.data(), source.size(), 0xcbf29ce484222325U ^ static_cast<std::uint64_t>(arch * 10000 + major * 100 + minor));
    const std::string path = folder.empty() ? "" : folder + "/sm_" + std::to_string(arch) + "_" + detail::hex_text(name) + ".cubin";
    if (!path.empty()) {
        std::ifstream file(path, std::ios::binary);
        std::uint64_t hash = 0;
        if (file.read(reinterpret_cast<char*>(&hash), sizeof hash)) {
            std::vector<char> code((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
            if (!code.empty() && detail::text_hash(code.data(), code.size()) == hash) return code;
        }
    }
    std::vector<char> code = compile_device_code(nvrtc, source, arch);
    if (!path.empty()) {
        std::error_code ignored;
        std::filesystem::create_directories(folder, ignored);
        const std::string unfinished = path + "." + std::to_string(getpid());
        {
            std::ofstream file(unfinished, std::ios::binary);
            const std::uint64_t hash = detail::text_hash(code.data(), code.size());
            file.write(reinterpret_cast<const char*>(&hash), sizeof hash);
            file.write(code.data(), static_cast<std::streamsize>(code.size()));
            file.close();
            if (!file) {
                std::filesystem::remove(unfinished, ignored);
                return code;
            }
        }
        std::filesystem::rename(unfinished, path, ignored);
    }
    return code;
}

} // namespace splitdsl::kernels::cudnn
