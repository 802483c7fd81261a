/// Sequence numbers that wrap, extended to 64 bits by what is known already (RFC 1982): the value nearest to a reference.
enum SerialNumber {
  static func extend(_ raw: UInt32, near reference: Int64) -> Int64 {
    reference &+ Int64(Int32(bitPattern: raw &- UInt32(truncatingIfNeeded: reference)))
  }

  static func extend(_ raw: UInt16, near reference: Int64) -> Int64 {
    reference &+ Int64(Int16(bitPattern: raw &- UInt16(truncatingIfNeeded: reference)))
  }
}
