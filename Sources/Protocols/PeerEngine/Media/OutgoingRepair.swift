internal import MartletPrimitives
internal import MartletRTP

/// FlexFEC for a track as one peer gets it (draft-ietf-payload-flexible-fec-scheme-03), as much as what the peer loses asks for, and none
/// while it loses nothing.
package struct OutgoingRepair: Sendable {
  package let ssrc: UInt32
  private let payloadType: UInt8
  private let media: UInt32
  private var nextNumber: UInt16
  private var encoder: FlexFECEncoder?
  /// The share that is lost, of one: it rises at once and falls slowly.
  private var loss = 0.0
  private var packet: [UInt8] = []
  /// Repair packets made.
  package private(set) var count = 0

  private static let (begin, end) = (0.01, 0.004)
  /// What is left of the former share with each report.
  private static let memory = 0.8
  /// Of a group, lost on average: of two that a group loses none comes back.
  private static let expected = 0.4
  private static let groupSizes = 4.0...20.0

  init(_ stream: (ssrc: UInt32, payloadType: UInt8), media: UInt32, random: inout RandomSource) {
    ssrc = stream.ssrc
    payloadType = stream.payloadType
    self.media = media
    nextNumber = UInt16.random(in: 0..<32768, using: &random)
  }

  package var isActive: Bool { encoder != nil }

  mutating func receive(_ report: ReportBlock) {
    loss = max(Double(report.fractionLost) / 256, loss * Self.memory)
    guard loss >= (isActive ? Self.end : Self.begin) else { return encoder = nil }
    let size = Int(min(max(Self.expected / loss, Self.groupSizes.lowerBound), Self.groupSizes.upperBound))
    if encoder == nil { encoder = FlexFECEncoder(ssrc: media, groupSize: size) } else { encoder?.groupSize = size }
  }

  /// Takes what was sent, whose header is as it went out.
  /// - Returns: a repair packet that is now to be sent, when one is complete.
  mutating func add(_ fields: RTPHeaderFields, header: RawSpan, payload: RawSpan) -> (RTPHeaderFields, payload: [UInt8])? {
    guard var encoder else { return nil }
    self.encoder = nil
    packet.removeAll(keepingCapacity: true)
    packet.append(header)
    if fields.stampID != 0 { PathStamp.clearValue(in: &packet) }
    packet.append(payload)
    var writer = ByteWriter()
    let isComplete = encoder.add(packet.span.bytes, number: fields.sequenceNumber, into: &writer)
    self.encoder = encoder
    guard isComplete else { return nil }
    defer { nextNumber &+= 1 }
    count += 1
    var repair = RTPHeaderFields(
      payloadType: payloadType, sequenceNumber: nextNumber, timestamp: fields.timestamp, ssrc: ssrc)
    repair.stampID = fields.stampID
    return (repair, writer.bytes)
  }
}
