internal import MartletMedia
internal import MartletPrimitives

/// A publisher's packets on their way to viewers, gathered until a picture is whole. Nobody can show a part of one, and each part that
/// leaves by itself is a call of the kernel's stack for each viewer. A publisher whose network spreads a picture out is not waited for.
internal struct PacketTrain {
  /// How long the first packet waits at most.
  internal static let patience = TimeSpan.milliseconds(2)

  private var packets: [StreamPacket] = []
  private var isMidPicture = false
  private var began: Instant?

  /// - Parameter isPicture: of video, whose last packet of a picture is marked (RFC 3551 §5).
  internal mutating func append(_ packet: StreamPacket, isPicture: Bool, now: Instant) {
    if began == nil { began = now }
    if isPicture { isMidPicture = !packet.marker }
    packets.append(packet)
  }

  /// When the packets leave whatever lacks; `nil` when there are none.
  internal var deadline: Instant? { began.map { $0 + Self.patience } }

  /// The packets, once they may leave; they are given back, emptied, by `reuse`.
  internal mutating func take(now: Instant) -> [StreamPacket]? {
    guard let deadline, !isMidPicture || now >= deadline else { return nil }
    began = nil
    return exchange(&packets, with: [])
  }

  internal mutating func reuse(_ storage: [StreamPacket]) {
    guard packets.isEmpty else { return }
    packets = storage
    packets.removeAll(keepingCapacity: true)
  }
}
