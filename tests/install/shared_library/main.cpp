// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file main.cpp
/// A program that knows the shared library alone.
float sum_of_probabilities();

int main() {
    const float sum = sum_of_probabilities();
    return sum > 0.999F && sum < 1.001F ? 0 : 1;
}
