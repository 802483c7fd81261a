internal import MartletMedia
internal import MartletPrimitives

/// Makes the packets of a picture equally long (RFC 3550 §5.1), so that they leave for each viewer as one train of segments, which is
/// one call of the kernel's stack. Encoders cut pictures into parts that differ by a byte or two: what is added is that little.
internal enum TrainPadding {
  /// Of a packet's length; what lacks more is another kind of packet, such as parameter sets.
  private static let mostShare = 16

  internal static func equalise(_ packets: inout [StreamPacket]) {
    var start = 0
    while start < packets.count {
      var (end, longest) = (start + 1, packets[start].payload.count)
      while end < packets.count, packets[end].source == packets[start].source, packets[end].timestamp == packets[start].timestamp {
        longest = max(longest, packets[end].payload.count)
        end += 1
      }
      // The last of a train may be shorter.
      for index in start..<max(start, end - 1) { packets[index].pad(to: longest, atMost: min(255, longest / mostShare)) }
      start = end
    }
  }
}

extension StreamPacket {
  fileprivate mutating func pad(to length: Int, atMost limit: Int) {
    let missing = length - payload.count
    guard missing > 0, missing <= limit, padding == 0, !payload.isEmpty else { return }
    var writer = ByteWriter(capacity: length)
    writer.append(payload)
    writer.zeros(missing - 1)
    writer.u8(UInt8(truncatingIfNeeded: missing))
    payload = writer.slice
    padding = UInt8(truncatingIfNeeded: missing)
  }
}
