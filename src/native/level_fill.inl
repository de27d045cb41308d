
// The table of a level's functions, which have the same names at every level. To be included inside its namespace, after
// them.

template <Entries E, int PLANES, int BITS>
static void fill_blocks(Level& level) {
  auto& to = level.table[static_cast<int>(E)][PLANES - 1][width_index(BITS)];
  to[0] = micro<E, PLANES, BITS, 1>;
  to[1] = micro<E, PLANES, BITS, 2>;
  to[2] = micro<E, PLANES, BITS, 3>;
  to[3] = micro<E, PLANES, BITS, 4>;
}

template <Entries E>
static void fill_widths(Level& level) {
  fill_blocks<E, 1, 8>(level);
  fill_blocks<E, 1, 7>(level);
  fill_blocks<E, 1, 6>(level);
  fill_blocks<E, 2, 8>(level);
  fill_blocks<E, 2, 7>(level);
  fill_blocks<E, 2, 6>(level);
}

static Level functions(const char* name) {
  Level level{};
  level.name = name;
  level.quantise = quantise;
  level.quantise_planes = quantise_planes;
  level.represent = represent;
  level.pass_gradient = pass_gradient;
  level.fingerprint = fingerprint;
  level.pack = pack;
  level.compress = compress;
  level.scaled = scaled;
  level.natural = natural;
  level.scaled_lanes = scaled_lanes;
  level.transpose = transpose;
  fill_widths<Entries::k64>(level);
  fill_widths<Entries::k128>(level);
  fill_widths<Entries::k256>(level);
  fill_widths<Entries::kSigned>(level);
  return level;
}
