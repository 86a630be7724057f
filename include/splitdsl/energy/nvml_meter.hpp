// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file nvml_meter.hpp
/// The energy counter of an NVIDIA GPU (Volta and later), read through the driver's management library, which is loaded at run time.
#pragma once

#include <splitdsl/energy/meter.hpp>

#include <dlfcn.h>

#include <optional>
#include <string>
#include <utility>

namespace splitdsl {

/// The functions of NVML that the meter calls. Tests hand in others.
struct nvml_api {
    int (*init)(){};
    int (*device)(unsigned index, void** handle){};
    int (*energy)(void* handle, unsigned long long* millijoules){};
    const char* (*error_text)(int error){};
};

/// The whole board's energy, all programs included, in steps of some milliseconds; it does not wrap.
///
/// ```cpp
/// auto opened = open_nvml_meter();
/// if (!opened.meter) std::puts(opened.reason.c_str());    // "no energy counter: ..." without a GPU
/// ```
class nvml_meter {
public:
    joules total() {
        if (unsigned long long now{}; api.energy(handle, &now) == 0 && now > last) last = now;
        return {static_cast<double>(last - first) * 1e-3};
    }
    provenance label() const { return provenance::measured; }

private:
    friend struct opened_nvml_meter open_nvml_meter(const nvml_api& with, unsigned gpu);
    nvml_meter(const nvml_api& with, void* of, unsigned long long now) : api{with}, handle{of}, first{now}, last{now} {}
    nvml_api api;
    void* handle;
    unsigned long long first, last;
};

/// A meter, or why there is none.
struct opened_nvml_meter {
    std::optional<nvml_meter> meter{};
    std::string reason{};               ///< one sentence if there is no meter
};
/// Opens the counter of GPU `gpu`, as NVML numbers them (by bus). Never throws for an absent one.
inline opened_nvml_meter open_nvml_meter(const nvml_api& with, unsigned gpu = 0) {
    const auto failed = [&](const char* doing, int status) -> opened_nvml_meter {
        return {std::nullopt, std::string("no energy counter: NVML's ") + doing + " failed (" + (with.error_text ? with.error_text(status) : std::to_string(status).c_str()) + ")"};
    };
    if (const int status = with.init(); status != 0) return failed("start", status);
    void* handle{};
    if (const int status = with.device(gpu, &handle); status != 0) return failed(("look-up of GPU " + std::to_string(gpu)).c_str(), status);
    unsigned long long now{};
    if (const int status = with.energy(handle, &now); status != 0) return failed("counter", status);
    return {nvml_meter{with, handle, now}, {}};
}
/// The same with the library of the driver that is installed.
inline opened_nvml_meter open_nvml_meter(unsigned gpu = 0) {
    void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);         // stays: the driver's threads may outlive us
    if (!library) library = dlopen("/usr/local/nvidia/lib64/libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);         // where containers have it
    if (!library) return {std::nullopt, "no energy counter: libnvidia-ml.so.1, which comes with NVIDIA's driver, was not found"};
    nvml_api api;
    const auto find = [&](const char* name, auto& to) { return (*reinterpret_cast<void**>(&to) = dlsym(library, name)) != nullptr; };
    if (!find("nvmlInit_v2", api.init) || !find("nvmlDeviceGetHandleByIndex_v2", api.device) || !find("nvmlDeviceGetTotalEnergyConsumption", api.energy) || !find("nvmlErrorString", api.error_text))
        return {std::nullopt, "no energy counter: libnvidia-ml.so.1 has no nvmlDeviceGetTotalEnergyConsumption; the driver is too old"};
    return open_nvml_meter(api, gpu);
}

static_assert(energy_meter<nvml_meter>);

} // namespace splitdsl
