# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Which test files a preset compiles (SPLITDSL_TEST_SET). `all` is every file; the others are short on purpose, because
# `make test` has to stay within 25 minutes on 2 cores. A name is a file under tests/ without folder and extension; a name
# without a file is an error in `all`, so this list cannot rot.

# A second compiler, bare machines and AArch64: arithmetic, bytes and policies, no threads.
set(SPLITDSL_TEST_SET_handful runtime_test answer_counts_test runtime_streams_test sage_numbers_test executor_test weight_storage_test radio_test ble_test)
# Address and undefined behaviour: whatever reads bytes from outside, and the runtime.
set(SPLITDSL_TEST_SET_address runtime_test answer_counts_test runtime_streams_test executor_test codec_test frame_test handshake_test safetensors_test image_test image_files_test bad_pictures_test
    entropy_bottleneck_test ordinary_file_test recoded_test dynamic_pool_coding_test dynamic_pool_packets_test)
# Data races: edge, cloud, links.
set(SPLITDSL_TEST_SET_threads runtime_test runtime_streams_test step_crew_test link_test tcp_connect_test live_test live_answers_test throwing_test cloud_test cloud_batches_test diagnosis_test fan_in_test streams_test
    stream_batches_test tiers_test)
# Only tests/fuzz.
set(SPLITDSL_TEST_SET_fuzz)

# Static tests (compiled, never run) belong to these sets as a whole.
set(SPLITDSL_SETS_WITH_STATIC_TESTS all handful)
