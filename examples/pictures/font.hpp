// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file font.hpp
/// Capital letters, digits and a few signs in 5 x 7 points: enough to write a label into a picture.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace pictures {

inline constexpr int glyph_width = 5, glyph_height = 7, glyph_step = 6;

namespace font {
struct part {
    std::string_view characters;
    std::array<std::string_view, 7> rows;    ///< a glyph every six columns
};
inline constexpr std::array<part, 3> parts{{
    {"ABCDEFGHIJKLMNO",
     {".###. ####. .###. ####. ##### ##### .###. #...# .###. ..### #...# #.... #...# #...# .###.",
      "#...# #...# #...# #...# #.... #.... #...# #...# ..#.. ...#. #..#. #.... ##.## ##..# #...#",
      "#...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #.... #.#.# ##..# #...#",
      "##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #.... #.#.# #.#.# #...#",
      "#...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #.... #...# #..## #...#",
      "#...# #...# #...# #...# #.... #.... #...# #...# ..#.. #..#. #..#. #.... #...# #..## #...#",
      "#...# ####. .###. ####. ##### #.... .###. #...# .###. .##.. #...# ##### #...# #...# .###."}},
    {"PQRSTUVWXYZ0123",
     {"####. .###. ####. .#### ##### #...# #...# #...# #...# #...# ##### .###. ..#.. .###. .###.",
      "#...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....# #...# .##.. #...# #...#",
      "#...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#. #..## ..#.. ....# ....#",
      "####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#.. #.#.# ..#.. ...#. ..##.",
      "#.... #.#.# #.#.. ....# ..#.. #...# #...# #.#.# .#.#. ..#.. .#... ##..# ..#.. ..#.. ....#",
      "#.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #.... #...# ..#.. .#... #...#",
      "#.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. ##### .###. .###. ##### .###."}},
    {"456789.-'/%()?",
     {"...#. ##### .###. ##### .###. .###. ..... ..... ..#.. ....# ##..# ...#. .#... .###.",
      "..##. #.... #.... ....# #...# #...# ..... ..... ..#.. ...#. ##.#. ..#.. ..#.. #...#",
      ".#.#. ####. #.... ...#. #...# #...# ..... ..... ..... ...#. ...#. .#... ...#. ....#",
      "#..#. ....# ####. ..#.. .###. .#### ..... .###. ..... ..#.. ..#.. .#... ...#. ...#.",
      "##### ....# #...# ..#.. #...# ....# ..... ..... ..... .#... .#... .#... ...#. ..#..",
      "...#. #...# #...# ..#.. #...# ....# .##.. ..... ..... .#... .#.## ..#.. ..#.. .....",
      "...#. .###. .###. ..#.. .###. .###. .##.. ..... ..... #.... #..## ...#. .#... ..#.."}},
}};
} // namespace font

/// True where the glyph of `c` is inked. Small letters look like capitals; what has no glyph looks like '?', a space like nothing.
constexpr bool inked(char c, int row, int column) {
    if (c == ' ') return false;
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    for (const font::part& p : font::parts)
        if (const std::size_t at = p.characters.find(c); at != std::string_view::npos)
            return p.rows[static_cast<std::size_t>(row)][at * glyph_step + static_cast<std::size_t>(column)] == '#';
    return inked('?', row, column);
}
static_assert(inked('l', 6, 4) && !inked('L', 0, 4) && inked('~', 6, 2) && !inked(' ', 3, 2));

} // namespace pictures
