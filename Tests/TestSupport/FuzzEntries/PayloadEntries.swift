import MartletCodecs
import MartletPrimitives
import MartletRTP

/// RTP payload formats: packets that no packetizer made, and the way back of what comes out of them.
extension FuzzEntry {
  static let rtpPayloads = [videoPayload, jitterBuffer, redPayload]

  private static let codecsOfPayloads: [Codec] = [.h264, .hevc, .vp8, .vp9, .av1, .opus]

  /// The first byte is the codec; then packets, each a byte of length, one of flags (marker, new timestamp, gap), and the payload.
  private static let videoPayload = FuzzEntry(
    "rtp-payload",
    seeds: [
      [0, 2, 0, 0x67, 1, 3, 0, 0x7c, 0x85, 1, 3, 1, 0x7c, 0x45, 2], [0, 10, 1, 0x78, 0, 2, 0x67, 1, 0, 3, 0x65, 0x88, 1],
      [1, 3, 0, 0x40, 1, 1, 4, 0, 0x62, 1, 0x93, 1, 4, 1, 0x62, 1, 0x53, 2],
      [2, 5, 0, 0x90, 0x80, 0x81, 1, 0x10, 4, 1, 0x80, 0x80, 0x81, 2],
      [3, 12, 1, 0x8f, 0x81, 1, 0x18, 1, 0x40, 0, 0xb4, 1, 0x14, 1, 0x82], [4, 9, 1, 0x28, 3, 8, 7, 8, 0x30, 1, 2, 3],
      [4, 5, 0, 0x58, 0x30, 1, 2, 3, 3, 1, 0x90, 4, 5], [5, 2, 0, 0xfc, 1],
    ]
  ) { bytes in
    guard let first = bytes.first else { return }
    let codec = codecsOfPayloads[Int(first) % codecsOfPayloads.count]
    var limits = PayloadLimits()
    (limits.accessUnitBytes, limits.accessUnitPackets) = (2000, 30)
    guard var depacketizer = RTPDepacketizer(codec, limits: limits) else { return }
    var (rest, sequence, timestamp): (ArraySlice<UInt8>, Int64, Int64) = (bytes.dropFirst(), 0, 0)
    while let length = rest.popFirst(), let flags = rest.popFirst() {
      let payload = Slice(Array(rest.prefix(Int(length))))
      rest = rest.dropFirst(Int(length))
      sequence += flags & 4 == 0 ? 1 : 2
      timestamp += flags & 2 == 0 ? 0 : 3000
      _ = codec.isKeyFrameStart(payload.bytes)
      var events: [DepacketizerEvent] = []
      let packet = SequencedPayload(sequence: sequence, timestamp: timestamp, marker: flags & 1 == 1, payload: payload)
      depacketizer.receive(packet, into: &events)
      require(events.count <= 2, "more events than a packet can cause")
      for case .unit(let unit) in events {
        require(!unit.payload.isEmpty && unit.payload.count <= limits.accessUnitBytes, "a unit beyond the limit")
        returns(unit, codec)
      }
    }
  }

  /// A key frame that says it begins, so that the unit behind it is taken whatever it is.
  private static func opening(_ codec: Codec) -> Slice {
    switch codec {
    case .h264: [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 2, 0x65, 0x80]
    case .hevc: [0, 0, 0, 3, 0x40, 1, 1, 0, 0, 0, 3, 0x26, 1, 0x80]
    case .vp9: [0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0b, 0x30, 0, 0]
    case .av1: [0x0a, 1, 0, 0x32, 1, 0]
    default: [0x10, 1]
    }
  }

  private static func returns(_ unit: AccessUnit, _ codec: Codec) {
    var options = RTPPacketizer.Options()
    options.maximumSize = codec == .opus ? 2000 : 100
    var random = RandomSource(seed: 1)
    guard var packetizer = RTPPacketizer(codec, options: options, random: &random), var depacketizer = RTPDepacketizer(codec) else {
      return
    }
    var (payloads, events, sequence): (RTPPayloads, [DepacketizerEvent], Int64) = (RTPPayloads(), [], 0)
    for (time, payload) in [opening(codec), unit.payload].enumerated() {
      let frame = Frame(track: 0, dts: 0, pts: 0, isKey: time == 0 || unit.isKey, payload: payload)
      // A VP9 frame whose header makes no sense.
      guard (try? packetizer.packetize(frame, into: &payloads)) != nil else { return }
      for (index, part) in payloads.slices.enumerated() {
        require(part.count <= options.maximumSize, "a payload beyond its maximum")
        let marker = index == payloads.count - 1
        depacketizer.receive(SequencedPayload(sequence: sequence, timestamp: Int64(time), marker: marker, payload: part), into: &events)
        sequence += 1
      }
    }
    guard case .unit(let again) = events.last, events.count == 2 else { preconditionFailure("a unit that does not come back") }
    require(again.payload == unit.payload, "a unit that reads differently")
    require(again.isKey == unit.isKey || codec == .vp9 || codec == .av1, "a key frame that is none")
  }

  /// Three bytes a packet: sequence number and milliseconds since the one before.
  private static let jitterBuffer = FuzzEntry("jitter-buffer", seeds: [[0, 1, 0, 0, 3, 9, 0, 2, 99, 0xf0, 0, 0, 0xf0, 1, 255]]) { bytes in
    var limits = JitterLimits()
    (limits.packets, limits.bytes) = (32, 20)
    var buffer = JitterBuffer(limits: limits)
    var (now, last): (Instant, Int64) = (.zero, .min)
    for start in stride(from: 0, to: bytes.count - 2, by: 3) {
      var output: [JitterBuffer.Output] = []
      now = now + .milliseconds(Int(bytes[start + 2]))
      buffer.timeout(now: now, into: &output)
      let sequence = UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])
      buffer.receive(sequence: sequence, timestamp: UInt32(sequence), marker: false, payload: [1], now: now, into: &output)
      for entry in output {
        let range =
          switch entry {
          case .packet(let packet): packet.sequence...packet.sequence
          case .lost(let range): range
          }
        require(range.lowerBound > last, "packets out of order")
        last = range.upperBound
      }
      if let deadline = buffer.deadline { require(deadline > now, "a deadline that has passed") }
    }
  }

  private static let redPayload = FuzzEntry("red", seeds: [[0xef, 0x0f, 0x00, 2, 0x6f, 1, 2, 3], [0x6f, 1]]) { bytes in
    if let blocks = try? RED.blocks(Slice(bytes)) {
      require(!blocks.isEmpty && blocks.reduce(0) { $0 + $1.payload.count } < bytes.count, "more in the blocks than came")
    }
    var depacketizer = RTPDepacketizer.redundantAudio
    var events: [DepacketizerEvent] = []
    for sequence in [Int64(0), 2] {
      depacketizer.receive(
        SequencedPayload(sequence: sequence, timestamp: sequence * 960, marker: false, payload: Slice(bytes)), into: &events)
    }
    _ = (try? TelephoneEvent(bytes.span.bytes), try? ComfortNoise(Slice(bytes)))
  }
}
