# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# What holds for the project's own programs and never for consumers: warnings, sanitizers, ccache, output folders.

set(SPLITDSL_WARNINGS "" CACHE STRING "Warning flags of the project's own targets; the presets set them")
set(SPLITDSL_SANITIZE "" CACHE STRING "Sanitizers of the project's own targets, as -fsanitize= takes them; the presets set them")

# Parsing CLI11 and nlohmann-json takes longer than most of our own files do.
option(SPLITDSL_PRECOMPILED_HEADERS "Parse what our programs and tests all include (CLI11, nlohmann-json, Catch2) once, not in each of them" OFF)

find_program(SPLITDSL_CCACHE ccache)
mark_as_advanced(SPLITDSL_CCACHE)
if(SPLITDSL_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER ${SPLITDSL_CCACHE})
    if(SPLITDSL_PRECOMPILED_HEADERS)        # else it takes no file that includes them
        set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${SPLITDSL_CCACHE})
    endif()
endif()

# splitdsl_parse_once(NAME LEVEL LIBRARIES... HEADERS...): the target NAME whose precompiled headers others reuse that are compiled at LEVEL (-O0, -O1), if that is asked for.
function(splitdsl_parse_once name level)
    cmake_parse_arguments(PARSE_ARGV 2 once "" "" "LIBRARIES;HEADERS")
    if(NOT SPLITDSL_PRECOMPILED_HEADERS OR TARGET ${name})
        return()
    endif()
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/cmake/${name}.cpp CONTENT "// Carries precompiled headers.\n")
    add_library(${name} OBJECT ${PROJECT_BINARY_DIR}/cmake/${name}.cpp)
    target_link_libraries(${name} PRIVATE ${once_LIBRARIES})
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:${level}> -fpch-preprocess)
    target_precompile_headers(${name} PRIVATE ${once_HEADERS})
endfunction()

separate_arguments(splitdsl_own_flags NATIVE_COMMAND "${SPLITDSL_WARNINGS}")
if(SPLITDSL_SANITIZE)
    list(APPEND splitdsl_own_flags -fsanitize=${SPLITDSL_SANITIZE} -fno-omit-frame-pointer)
    if(SPLITDSL_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        list(APPEND splitdsl_own_flags -Wno-tsan)       # Asio's fences, which it does not use between threads here
    endif()
    if(SPLITDSL_SANITIZE MATCHES "undefined")
        list(APPEND splitdsl_own_flags -fno-sanitize-recover=undefined)
    endif()
    add_link_options(-fsanitize=${SPLITDSL_SANITIZE})
endif()
# Heavy files spend a tenth of their time on g++'s garbage collection (measured: 5 to 15 %), which starts at 128 MB. Where each processor
# has 6 GB, it starts at 1 GB.
cmake_host_system_information(RESULT splitdsl_memory QUERY TOTAL_PHYSICAL_MEMORY)       # MiB
cmake_host_system_information(RESULT splitdsl_processors QUERY NUMBER_OF_LOGICAL_CORES)
math(EXPR splitdsl_memory "${splitdsl_memory} / ${splitdsl_processors}")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND splitdsl_memory GREATER 6000)
    list(APPEND splitdsl_own_flags "SHELL:--param ggc-min-expand=400" "SHELL:--param ggc-min-heapsize=1000000")
endif()
add_compile_options(${splitdsl_own_flags})

# Interface headers of the networks that tests, examples and benchmarks share live beside their sources.
find_package(Python3 COMPONENTS Interpreter QUIET)
splitdsl_find_headers(cli11 HEADERS CLI/CLI.hpp ROOTS CLI)
splitdsl_find_headers(nlohmann_json HEADERS nlohmann/json.hpp ROOTS nlohmann)
splitdsl_find_headers(catch2 HEADERS catch2/catch.hpp catch2/catch_test_macros.hpp ROOTS catch2)

# splitdsl_folder_programs(KIND): in the calling folder, each *.cpp is a program; each subfolder with a CMakeLists.txt adds its
# own; each subfolder without one, but with .cpp files, is a program of that name, and its pipelines/*.cpp are compiled once per
# instruction set. Programs go to build/PRESET/KIND.
function(splitdsl_folder_programs kind)
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${kind})
    file(GLOB singles CONFIGURE_DEPENDS *.cpp)
    foreach(file IN LISTS singles)
        cmake_path(GET file STEM program)
        splitdsl_program(${program} ${file})
    endforeach()
    file(GLOB entries CONFIGURE_DEPENDS LIST_DIRECTORIES true *)
    foreach(folder IN LISTS entries)
        if(NOT IS_DIRECTORY ${folder})
            continue()
        endif()
        cmake_path(GET folder FILENAME program)
        file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
        if(EXISTS ${folder}/CMakeLists.txt)
            add_subdirectory(${folder} ${PROJECT_BINARY_DIR}/cmake/${kind}/${program})
        elseif(sources)
            splitdsl_program(${program} ${sources})
            file(GLOB pipelines CONFIGURE_DEPENDS ${folder}/pipelines/*.cpp)
            if(pipelines)
                splitdsl_add_pipeline(${program}_pipelines SOURCES ${pipelines})
                target_include_directories(${program}_pipelines PUBLIC ${folder})
                target_link_libraries(${program} PRIVATE ${program}_pipelines)
            endif()
        endif()
    endforeach()
endfunction()

# splitdsl_program(NAME SOURCES...): one of our programs, with the command-line and JSON headers they all use.
function(splitdsl_program name)
    if(NOT TARGET splitdsl_dependency::cli11 OR NOT TARGET splitdsl_dependency::nlohmann_json)
        message(STATUS "splitdsl: ${name} is left out; it needs CLI11 and nlohmann-json")
        return()
    endif()
    add_executable(${name} ${ARGN})
    set(libraries splitdsl::splitdsl splitdsl_dependency::cli11 splitdsl_dependency::nlohmann_json)
    target_link_libraries(${name} PRIVATE ${libraries})
    target_compile_definitions(${name} PRIVATE SPLITDSL_VERSION="${PROJECT_VERSION}")      # what --version prints
    # Kernels and networks are in objects of their own, at the preset's level: what is left of a program compiles in two thirds of the
    # time with -O1. A benchmark is measured as users compile.
    if(NOT name MATCHES "^bench_")
        target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
        splitdsl_parse_once(program_headers -O1 LIBRARIES ${libraries} HEADERS <CLI/CLI.hpp> <nlohmann/json.hpp>)
        if(TARGET program_headers)
            target_compile_options(${name} PRIVATE -fpch-preprocess)
            target_precompile_headers(${name} REUSE_FROM program_headers)
        endif()
    endif()
endfunction()

# splitdsl_collect(KIND FOLDER): the target all_KIND, which builds whatever FOLDER and the folders below it declare.
function(splitdsl_collect kind)
    set(folders ${ARGN})
    set(targets)
    while(folders)
        list(POP_FRONT folders folder)
        get_property(own DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
        get_property(below DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
        list(APPEND targets ${own})
        list(APPEND folders ${below})
    endwhile()
    add_custom_target(all_${kind})
    foreach(target IN LISTS targets)
        get_target_property(type ${target} TYPE)
        if(NOT type STREQUAL "INTERFACE_LIBRARY" AND NOT type STREQUAL "UTILITY")
            add_dependencies(all_${kind} ${target})
        endif()
    endforeach()
endfunction()
