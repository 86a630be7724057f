# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# The example programs as their users start them: what they compute, what they print, what they refuse by name. A program that was not built has no tests here.

# ---- the drive's committed weights, and its promise in virtual time --------------------------------------------------------------
if(TARGET drive)
    foreach(set IN ITEMS "" baseline)
        add_test(NAME "drive: the committed weights fit the network and pass their self-test (${set})" COMMAND drive --self-test WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("drive: the committed weights fit the network and pass their self-test (${set})" PROPERTIES LABELS drive ENVIRONMENT "SPLITDSL_ISA=${set}")
    endforeach()
    add_test(NAME "drive: a simulated drive stays on the road and saves energy" COMMAND ${CMAKE_COMMAND} -DDRIVE=$<TARGET_FILE:drive>
        -DOUT=${CMAKE_CURRENT_BINARY_DIR}/drive -P ${CMAKE_CURRENT_SOURCE_DIR}/integration/simulated_drive.cmake WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties("drive: a simulated drive stays on the road and saves energy" PROPERTIES LABELS drive TIMEOUT 600)
endif()

# ---- examples/classify: what it refuses, what it recognises, whole and split between two processes ------------------------------
if(TARGET classify AND Python3_Interpreter_FOUND AND SPLITDSL_JPEG AND SPLITDSL_PNG AND SPLITDSL_zip_LIBRARY)
    foreach(test IN ITEMS refusals agreement split split_u8 pictures)
        add_test(NAME "classify: ${test}" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/classify.py
            --program $<TARGET_FILE:classify> ${test} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("classify: ${test}" PROPERTIES LABELS "classify;integration" TIMEOUT 1800 SKIP_REGULAR_EXPRESSION "SKIPPED:")
    endforeach()
    set_tests_properties("classify: split" "classify: split_u8" PROPERTIES RUN_SERIAL TRUE)
    if(SPLITDSL_TEST_FULL)
        add_test(NAME "classify: the comparisons find planted errors" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/classify.py
            --program $<TARGET_FILE:classify> agreement --plant WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("classify: the comparisons find planted errors" PROPERTIES LABELS "classify;integration" TIMEOUT 1800
            PASS_REGULAR_EXPRESSION "squeezenet1_1: the recorded top-1 on 0 of 200" SKIP_REGULAR_EXPRESSION "SKIPPED:")
    endif()
endif()

# ---- a cascade: a small network here, a big one behind the relay ---------------------------------------------------------------------
if(TARGET classify AND TARGET splitdsl-relay AND Python3_Interpreter_FOUND AND SPLITDSL_JPEG AND SPLITDSL_PNG AND SPLITDSL_zip_LIBRARY)
    add_test(NAME "classify: a cascade over a slow way answers as each network does" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/cascade.py
        --classify $<TARGET_FILE:classify> --relay $<TARGET_FILE:splitdsl-relay> WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties("classify: a cascade over a slow way answers as each network does" PROPERTIES LABELS "classify;integration" TIMEOUT 300 RUN_SERIAL TRUE
        SKIP_REGULAR_EXPRESSION "SKIPPED:")
endif()

# ---- splitdsl-describe: what it refuses, sums, crossing bytes, sizes of pictures, times -----------------------------------------------
if(TARGET splitdsl-describe AND SPLITDSL_TORCH_PYTHON AND SPLITDSL_JPEG AND SPLITDSL_PNG)
    set(describe ${SPLITDSL_TORCH_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/integration/describe.py --program $<TARGET_FILE:splitdsl-describe>)
    add_test(NAME "describe: every network's numbers agree with each other" COMMAND ${describe} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    add_test(NAME "describe: the check finds a planted number" COMMAND ${describe} --plant WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties("describe: every network's numbers agree with each other" "describe: the check finds a planted number" PROPERTIES
        LABELS "describe;integration" TIMEOUT 600)
    set_tests_properties("describe: the check finds a planted number" PROPERTIES PASS_REGULAR_EXPRESSION "WRONG   squeezenet1_1: MACs add up")
endif()

# ---- examples/three_cameras: heads side by side, one request a frame, edge and cloud as two processes -----------------------------
if(TARGET three_cameras AND Python3_Interpreter_FOUND)
    set(tests live refusals)
    if(SPLITDSL_TEST_FULL)
        list(APPEND tests threads)
    endif()
    foreach(test IN LISTS tests)
        add_test(NAME "three cameras: ${test}" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/three_cameras.py
            --program $<TARGET_FILE:three_cameras> ${test} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("three cameras: ${test}" PROPERTIES LABELS integration TIMEOUT 600 RUN_SERIAL TRUE)
    endforeach()
endif()

# ---- examples/three_tiers: robot, factory and datacentre as three processes, the relay on both links ------------------------------
if(TARGET three_tiers AND Python3_Interpreter_FOUND)
    set(tests live apart refusals)
    if(SPLITDSL_TEST_FULL)
        list(APPEND tests kill choice)
    endif()
    foreach(test IN LISTS tests)
        add_test(NAME "three tiers: ${test}" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/three_tiers.py
            --program $<TARGET_FILE:three_tiers> ${test} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("three tiers: ${test}" PROPERTIES LABELS integration TIMEOUT 600 RUN_SERIAL TRUE)
    endforeach()
endif()

# ---- examples/visual_wake: FLEET over connection events, the cloud a second process, and its report --------------------------------
if(TARGET visual_wake AND Python3_Interpreter_FOUND AND SPLITDSL_JPEG AND SPLITDSL_PNG AND SPLITDSL_zip_LIBRARY)
    foreach(test IN ITEMS live policies refusals)
        add_test(NAME "visual wake: ${test}" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/visual_wake.py
            --program $<TARGET_FILE:visual_wake> ${test} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("visual wake: ${test}" PROPERTIES LABELS integration TIMEOUT 600)
    endforeach()
    set_tests_properties("visual wake: live" "visual wake: policies" PROPERTIES RUN_SERIAL TRUE)
    if(SPLITDSL_TEST_FULL)                          # all policies on 500 pictures at three intervals
        set_tests_properties("visual wake: policies" PROPERTIES TIMEOUT 14400 ENVIRONMENT "SPLITDSL_TEST_FULL=1")
    endif()
endif()

# ---- examples/detect and examples/segment: what they refuse, what they find, what they draw ---------------------------------------
if(TARGET detect AND TARGET segment AND SPLITDSL_TORCH_PYTHON AND SPLITDSL_JPEG AND SPLITDSL_PNG)
    set(pictures ${SPLITDSL_TORCH_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/integration/detect_segment.py --detect $<TARGET_FILE:detect> --segment $<TARGET_FILE:segment>)
    add_test(NAME "detect: refusals, also of segment" COMMAND ${pictures} refusals)
    add_test(NAME "detect: torchvision's boxes on pictures of any size" COMMAND ${pictures} boxes)
    add_test(NAME "detect: the comparison finds shifted boxes" COMMAND ${pictures} boxes --plant 4)
    add_test(NAME "segment: torchvision's classes at each pixel" COMMAND ${pictures} masks)
    add_test(NAME "segment: the comparison finds a few wrong rows" COMMAND ${pictures} masks --plant 5)
    set_tests_properties("detect: refusals, also of segment" "detect: torchvision's boxes on pictures of any size" "detect: the comparison finds shifted boxes"
        "segment: torchvision's classes at each pixel" "segment: the comparison finds a few wrong rows" PROPERTIES LABELS "detect;integration" TIMEOUT 1800
        SKIP_REGULAR_EXPRESSION "SKIPPED:" ENVIRONMENT OMP_WAIT_POLICY=PASSIVE)
    set_tests_properties("detect: the comparison finds shifted boxes" PROPERTIES PASS_REGULAR_EXPRESSION "WRONG   [^\n]*of torchvision's [0-9]+ detections")
    set_tests_properties("segment: the comparison finds a few wrong rows" PROPERTIES PASS_REGULAR_EXPRESSION "WRONG   [^\n]*the mask is torchvision's on 9")
endif()

# ---- every program: a full disk, numbers out of range, options that do not go together, exit statuses -----------------------------
if(Python3_Interpreter_FOUND)
    set(programs)
    foreach(program classify splitdsl-calibrate drive drive_dataset splitdsl-describe splitdsl-relay splitdsl-sim three_cameras three_tiers visual_wake quick_start)
        if(TARGET ${program})
            list(APPEND programs ${program}=$<TARGET_FILE:${program}>)
        endif()
    endforeach()
    if(programs)
        add_test(NAME "programs: what they do with their options, and with a full disk" COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/integration/options.py ${programs}
            WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
        set_tests_properties("programs: what they do with their options, and with a full disk" PROPERTIES LABELS integration TIMEOUT 300)
    endif()
endif()

# ---- the relay names the option it refuses -----------------------------------------------------------------------------------
if(TARGET splitdsl-relay)
    foreach(wrong "--buffer;-5" "--seconds;-1" "--to;127.0.0.1:7448" "--json;no/such/folder/report.json" "--ble;interval=16")
        list(GET wrong 0 option)
        set(target --to 127.0.0.1:7447)
        if(option STREQUAL "--to")
            set(target "")
        endif()
        add_test(NAME "relay: a wrong ${option} is refused by name" COMMAND splitdsl-relay ${target} --listen 7448 --quiet ${wrong})
        set_tests_properties("relay: a wrong ${option} is refused by name" PROPERTIES LABELS relay TIMEOUT 60
            PASS_REGULAR_EXPRESSION "splitdsl-relay: ${option}(: expected [^\n]*, found | [^\n]*: cannot be written: )")
    endforeach()
endif()

# ---- splitdsl-sim: its scenarios answer every frame, and what it refuses it names ------------------------------------------------
if(TARGET splitdsl-sim)
    foreach(scenario IN ITEMS m33_cifar a77_imagenet m33_lora a77_halow)
        add_test(NAME "simulation: ${scenario} answers every frame" COMMAND splitdsl-sim ${PROJECT_SOURCE_DIR}/examples/sim/${scenario}.toml --frames 500)
        set_tests_properties("simulation: ${scenario} answers every frame" PROPERTIES LABELS simulation TIMEOUT 300
            PASS_REGULAR_EXPRESSION "all_edge[^\n]* 0\n.*fleet[^\n]* 0\n" FAIL_REGULAR_EXPRESSION "  [1-9][0-9]*\n;splitdsl-sim: ")
    endforeach()
    # Cascades: what is saved and where that ends; the times are the formula's, 47.76 ms + 1.37 ms and 11.21 ms (unit/cascade_test.cpp has the rest).
    add_test(NAME "simulation: a cascade of published times pays while fewer than 77.2 % are passed on" COMMAND splitdsl-sim
        ${PROJECT_SOURCE_DIR}/examples/sim/cascade_tx2_v100.toml --frames 4000)
    set_tests_properties("simulation: a cascade of published times pays while fewer than 77.2 % are passed on" PROPERTIES LABELS simulation TIMEOUT 120
        PASS_REGULAR_EXPRESSION "every input [^\n]* 49.13 .*cascade, 0.5 [^\n]* 40.2[0-9] .*\\(49.13 ms\\) while it passes on less than 77.2 % of them, here up to a threshold of 0.6"
        FAIL_REGULAR_EXPRESSION "  [1-9][0-9]*\n;splitdsl-sim: ")
    file(READ ${PROJECT_SOURCE_DIR}/examples/sim/cascade_cifar.toml scenario)
    string(REPLACE "../profiles" "${PROJECT_SOURCE_DIR}/examples/profiles" scenario "${scenario}")
    string(REPLACE "\"cascade_cifar" "\"${PROJECT_SOURCE_DIR}/examples/sim/cascade_cifar" scenario "${scenario}")
    string(REPLACE "# common" "common" skewed "${scenario}")
    string(REPLACE "classes = [8]" "classes = [11]" no_such "${skewed}")
    foreach(inputs IN ITEMS skewed no_such)
        file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/${inputs}.toml "${${inputs}}")
    endforeach()
    # Recorded answers: 12.5 % of the pictures are passed on at 0.8; of skewed ones 5 %.
    add_test(NAME "simulation: a cascade of recorded answers passes on what its small network is not sure of" COMMAND splitdsl-sim ${PROJECT_SOURCE_DIR}/examples/sim/cascade_cifar.toml)
    add_test(NAME "simulation: of skewed inputs a cascade passes on fewer" COMMAND splitdsl-sim ${CMAKE_CURRENT_BINARY_DIR}/simulation/skewed.toml)
    add_test(NAME "simulation: a common class that no picture shows is refused" COMMAND splitdsl-sim ${CMAKE_CURRENT_BINARY_DIR}/simulation/no_such.toml)
    set_tests_properties("simulation: a cascade of recorded answers passes on what its small network is not sure of" "simulation: of skewed inputs a cascade passes on fewer"
        "simulation: a common class that no picture shows is refused" PROPERTIES LABELS simulation TIMEOUT 120)
    set_tests_properties("simulation: a cascade of recorded answers passes on what its small network is not sure of" PROPERTIES PASS_REGULAR_EXPRESSION "cascade, 0.8 [^\n]* 12.5 %")
    set_tests_properties("simulation: of skewed inputs a cascade passes on fewer" PROPERTIES PASS_REGULAR_EXPRESSION "cascade, 0.8 [^\n]* 5.0 %")
    set_tests_properties("simulation: a common class that no picture shows is refused" PROPERTIES PASS_REGULAR_EXPRESSION "skewed pictures: expected pictures of the common classes, found none")
    set(wrong_key [[colour = 1]])
    set(wrong_radio [[radio = { ble = "interval=9" }]])
    set(wrong_lora [[radio = { kind = "lora", lora = "sf=5" }]])
    set(wrong_text "[[policy")
    set(wrong_device [=[device = ["tx2"]]=])
    set(wrong_packets [=[packets = [2.5]]=])
    set(wrong_delivery "[[policy]]\nname = \"fleet\"\ndelivery = \"reliable\"") # BLE's alone
    set(wrong_kind "[[policy]]\nname = \"mine\"")
    string(REPEAT "a." 100000 wrong_dots)
    string(APPEND wrong_dots "b = 1")
    set(says_dots "expected keys of at most 256 parts")
    set(says_key "expected no \"colour\", found it")
    set(says_radio "steps of 1.25 ms .the next is 10 ms., found 9 ms")
    set(says_lora "expected a spreading factor from 6 to 12, found 5")
    set(says_text "expected TOML, found an error")
    set(says_device "device profile 'tx2': expected a figure for macs_per_second, found none")
    set(says_packets "sweep.packets: expected whole numbers, found 2.5")
    set(says_delivery "delivery: expected one of [^\n]*unreliable, resending, found [^\n]*reliable")
    set(says_kind "policy 0.name: expected a kind beside it, or for a name one of the kinds, all_edge, [^\n]*fleet_by_benefit, found [^\n]*mine")
    foreach(wrong IN ITEMS key radio lora text dots device packets delivery kind)
        file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/${wrong}.toml "${wrong_${wrong}}\n")
        if(wrong STREQUAL "key")
            file(READ ${PROJECT_SOURCE_DIR}/examples/sim/m33_cifar.toml scenario)
            string(REPLACE "../profiles" "${PROJECT_SOURCE_DIR}/examples/profiles" scenario "${wrong_key}\n${scenario}")
            file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/key.toml "${scenario}")
        elseif(wrong STREQUAL "device" OR wrong STREQUAL "packets")
            file(READ ${PROJECT_SOURCE_DIR}/examples/sim/m33_cifar.toml scenario)
            string(REPLACE "../profiles" "${PROJECT_SOURCE_DIR}/examples/profiles" scenario "${scenario}")
            string(REPLACE "[sweep]" "[sweep]\n${wrong_${wrong}}" scenario "${scenario}")
            file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/${wrong}.toml "${scenario}")
        elseif(wrong STREQUAL "delivery" OR wrong STREQUAL "kind")
            file(READ ${PROJECT_SOURCE_DIR}/examples/sim/m33_lora.toml scenario)
            string(REPLACE "../profiles" "${PROJECT_SOURCE_DIR}/examples/profiles" scenario "${scenario}")
            string(REGEX REPLACE "\\[\\[policy\\]\\].*" "${wrong_${wrong}}\n" scenario "${scenario}")
            file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/${wrong}.toml "${scenario}")
        elseif(wrong STREQUAL "radio" OR wrong STREQUAL "lora")
            file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/${wrong}.toml "${wrong_${wrong}}\ndevice = { profiles = \"x\", name = \"y\" }\n")
        endif()
        add_test(NAME "simulation: a wrong ${wrong} is refused by name" COMMAND splitdsl-sim ${CMAKE_CURRENT_BINARY_DIR}/simulation/${wrong}.toml)
        set_tests_properties("simulation: a wrong ${wrong} is refused by name" PROPERTIES LABELS simulation TIMEOUT 60
            PASS_REGULAR_EXPRESSION "splitdsl-sim: [^\n]*${says_${wrong}}")
    endforeach()
    # What is counted as unanswered: the one policy without a fallback over a radio that loses everything.
    file(READ ${PROJECT_SOURCE_DIR}/examples/sim/m33_cifar.toml scenario)
    string(REPLACE "../profiles" "${PROJECT_SOURCE_DIR}/examples/profiles" scenario "${scenario}\n[[policy]]\nname = \"all_cloud\"\n")
    string(REPLACE "bytes=251\"" "bytes=251,loss=1\"" scenario "${scenario}")
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/simulation/lost.toml "${scenario}")
    add_test(NAME "simulation: only all_cloud leaves frames unanswered" COMMAND splitdsl-sim ${CMAKE_CURRENT_BINARY_DIR}/simulation/lost.toml --frames 50)
    set_tests_properties("simulation: only all_cloud leaves frames unanswered" PROPERTIES LABELS simulation TIMEOUT 300
        PASS_REGULAR_EXPRESSION "fleet [^\n]* 0\n.*raw [^\n]* 0\nall_cloud [^\n]* 50\n")
    if(Python3_Interpreter_FOUND AND SPLITDSL_TEST_FULL)
        add_test(NAME "simulation: the JSON document is complete and the same for the same seed" COMMAND ${Python3_EXECUTABLE}
            ${CMAKE_CURRENT_SOURCE_DIR}/integration/simulation_document.py $<TARGET_FILE:splitdsl-sim> ${PROJECT_SOURCE_DIR}/examples/sim/m33_cifar.toml)
        set_tests_properties("simulation: the JSON document is complete and the same for the same seed" PROPERTIES LABELS simulation TIMEOUT 300)
    endif()
endif()
