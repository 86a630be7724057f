// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file world_c.cpp
/// The world behind C functions, for tools/drive_world.py.
#include "world.hpp"

extern "C" {

drive::world* drive_world_new(std::uint64_t seed) { return new drive::world{seed}; }
void drive_world_delete(drive::world* w) { delete w; }
void drive_world_render(drive::world* w, std::uint8_t* frame) {
    w->render(drive::camera_frame{frame, drive::camera_geometry::bytes});
}
void drive_world_step(drive::world* w, float steer, float throttle, float brake) { w->step({steer, throttle, brake}); }
void drive_world_expert(const drive::world* w, float* controls) {
    const drive::controls c = w->expert();
    controls[0] = c.steer;
    controls[1] = c.throttle;
    controls[2] = c.brake;
}
void drive_world_place(drive::world* w, double along, double left, double heading, double speed) {
    w->place_car(along, left, heading, speed);
}
void drive_world_recover(drive::world* w) { w->recover(); }
double drive_world_speed(const drive::world* w) { return w->speed(); }
int drive_world_command(const drive::world* w) { return static_cast<int>(w->command()); }
double drive_world_deviation(const drive::world* w) { return w->signed_deviation(); }
int drive_world_off_road(const drive::world* w) { return w->off_road() ? 1 : 0; }
double drive_world_along(const drive::world* w) { return w->along(); }
double drive_world_time(const drive::world* w) { return w->time(); }
void drive_world_set_time(drive::world* w, double seconds) { w->set_time(seconds); }
}
