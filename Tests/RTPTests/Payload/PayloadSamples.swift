import MartletCodecs
import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// Random frames of a codec, valid as far as a payload format looks into them.
struct PayloadSamples {
  let codec: Codec
  var random: SeededRandom

  static let video: [Codec] = [.h264, .hevc, .vp8, .vp9, .av1]
  static let all: [Codec] = video + [.opus]

  init(_ codec: Codec, seed: UInt64) {
    self.codec = codec
    random = SeededRandom(seed: seed)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count { withUnsafeBytes(of: random.next()) { bytes.append(contentsOf: $0) } }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// - Parameter size: of the largest part, about.
  mutating func frame(isKey: Bool, size: Int, time: Int64 = 0) -> Frame {
    let size = max(20, size)
    let payload: [UInt8]
    switch codec {
    case .h264: payload = h264(isKey, size)
    case .hevc: payload = hevc(isKey, size)
    case .vp8: payload = [isKey ? 0x10 : 0x11] + bytes(size)
    case .vp9: payload = (isKey ? [0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0b, 0x30, 0, 0] : [0x86, 0]) + bytes(size)
    case .av1: payload = av1(isKey, size)
    default: payload = bytes(min(size, 500))
    }
    return Frame(track: 0, dts: time, pts: time, isKey: isKey || codec.kind == .audio, payload: Slice(payload))
  }

  /// Parameter sets before a key picture, then one slice or several; now and then a message in front.
  private mutating func h264(_ isKey: Bool, _ size: Int) -> [UInt8] {
    var units: [[UInt8]] = isKey ? [[0x67, 0x42] + bytes(20), [0x68] + bytes(5)] : []
    if Bool.random(using: &random) { units.append([0x06] + bytes(9)) }
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      units.append([isKey ? 0x65 : 0x41] + bytes(Int.random(in: 10...size, using: &random)))
    }
    return PayloadSamples.lengthPrefixed(units)
  }

  private mutating func hevc(_ isKey: Bool, _ size: Int) -> [UInt8] {
    var units: [[UInt8]] = isKey ? [[0x40, 1] + bytes(20), [0x42, 1] + bytes(30), [0x44, 1] + bytes(6)] : []
    if Bool.random(using: &random) { units.append([0x4e, 1] + bytes(9)) }
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      units.append([isKey ? 0x26 : 0x02, 1] + bytes(Int.random(in: 10...size, using: &random)))
    }
    return PayloadSamples.lengthPrefixed(units)
  }

  private mutating func av1(_ isKey: Bool, _ size: Int) -> [UInt8] {
    var unit = ByteWriter()
    if isKey { PayloadSamples.appendOBU(0x0a, bytes(11), &unit) }
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      PayloadSamples.appendOBU(0x2a, bytes(Int.random(in: 0...30, using: &random)), &unit)
    }
    PayloadSamples.appendOBU(0x32, bytes(Int.random(in: 10...size, using: &random)), &unit)
    return unit.bytes
  }

  static func appendOBU(_ header: UInt8, _ body: [UInt8], _ unit: inout ByteWriter) {
    unit.u8(header)
    var left = body.count
    while left >= 0x80 {
      unit.u8(UInt8(left & 0x7f | 0x80))
      left >>= 7
    }
    unit.u8(UInt8(left))
    unit.append(body)
  }

  static func lengthPrefixed(_ units: [[UInt8]]) -> [UInt8] {
    var writer = ByteWriter()
    for unit in units {
      writer.u32(UInt32(unit.count))
      writer.append(unit)
    }
    return writer.bytes
  }
}

func rtpPayloads(of frame: Frame, _ codec: Codec, maximumSize: Int = 1144) throws -> [Slice] {
  var options = RTPPacketizer.Options()
  options.maximumSize = maximumSize
  var random = RandomSource(seed: 1)
  var packetizer = try #require(RTPPacketizer(codec, options: options, random: &random))
  var payloads = RTPPayloads()
  try packetizer.packetize(frame, into: &payloads)
  return payloads.slices
}

/// What comes out of packets in sequence.
func depacketized(_ payloads: [Slice], _ codec: Codec, limits: PayloadLimits = PayloadLimits()) throws -> [DepacketizerEvent] {
  var depacketizer = try #require(RTPDepacketizer(codec, limits: limits))
  var events: [DepacketizerEvent] = []
  for (index, payload) in payloads.enumerated() {
    let isLast = index == payloads.count - 1
    depacketizer.receive(SequencedPayload(sequence: Int64(index), timestamp: 0, marker: isLast, payload: payload), into: &events)
  }
  return events
}

extension Codec {
  func isKeyFrameStart(_ payload: Slice) -> Bool { isKeyFrameStart(payload.bytes) }
}

extension DepacketizerEvent {
  var unit: AccessUnit? { if case .unit(let unit) = self { unit } else { nil } }
}
