internal import MartletCodecs
internal import MartletPrimitives
internal import MartletRTP

/// The receiving half of a transceiver: packets put in order and together.
final class TrackReceiving {
  let codec: Codec
  private var jitter = JitterBuffer()
  private var depacketizer: RTPDepacketizer
  private var ordered: [JitterBuffer.Output] = []
  private var units: [DepacketizerEvent] = []

  init?(_ codec: Codec) {
    guard let depacketizer = RTPDepacketizer(codec) else { return nil }
    self.codec = codec
    self.depacketizer = depacketizer
  }

  var deadline: Instant? { jitter.deadline }

  /// - Returns: true when a key frame has to be asked for.
  func receive(_ header: RTPHeader, _ payload: Slice, into transceiver: MediaTransceiver, now: Instant) -> Bool {
    jitter.receive(
      sequence: header.sequenceNumber, timestamp: header.timestamp, marker: header.marker, payload: payload, now: now, into: &ordered)
    return drain(transceiver)
  }

  /// - Returns: true when a key frame has to be asked for.
  func timeout(into transceiver: MediaTransceiver, now: Instant) -> Bool {
    jitter.timeout(now: now, into: &ordered)
    return drain(transceiver)
  }

  private func drain(_ transceiver: MediaTransceiver) -> Bool {
    for item in ordered { if case .packet(let packet) = item { depacketizer.receive(packet, into: &units) } }
    ordered.removeAll(keepingCapacity: true)
    var isLost = false
    for event in units {
      switch event {
      case .unit(let unit):
        transceiver.frames.box.put(
          MediaTransceiver.Frame(
            timestamp: UInt32(truncatingIfNeeded: unit.timestamp), isKeyFrame: unit.isKey, data: unit.payload.array))
      case .lost: isLost = isLost || codec.kind == .video
      }
    }
    units.removeAll(keepingCapacity: true)
    return isLost
  }
}
