/// FNV-1a, 64 bits: a hash that is the same in every run and on every machine, to place names by. Not for untrusted keys of a
/// table: whoever knows it can make them collide.
public enum StableHash {
  public static func of(_ text: String) -> UInt64 {
    text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
