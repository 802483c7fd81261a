package import MartletPrimitives

/// An RTCP packet (RFC 3550 §6, RFC 4585 §6, RFC 5104 §4.3, RFC 3611): one of a compound, or alone (RFC 5506).
package enum RTCPPacket: Equatable, Sendable {
  case senderReport(SenderReport)
  case receiverReport(ReceiverReport)
  case sourceDescription([SourceDescription])
  case goodbye(Goodbye)
  case application(ApplicationPacket)
  case nack(GenericNACK)
  case pictureLoss(PictureLossIndication)
  case fullIntraRequest(FullIntraRequest)
  case bitrateEstimate(ReceiverEstimatedBitrate)
  case transportFeedback(TransportFeedback)
  case extendedReport(ExtendedReport)

  package func write(into writer: inout ByteWriter) {
    switch self {
    case .senderReport(let packet): packet.write(into: &writer)
    case .receiverReport(let packet): packet.write(into: &writer)
    case .sourceDescription(let chunks): SourceDescription.write(chunks, into: &writer)
    case .goodbye(let packet): packet.write(into: &writer)
    case .application(let packet): packet.write(into: &writer)
    case .nack(let packet): packet.write(into: &writer)
    case .pictureLoss(let packet): packet.write(into: &writer)
    case .fullIntraRequest(let packet): packet.write(into: &writer)
    case .bitrateEstimate(let packet): packet.write(into: &writer)
    case .transportFeedback(let packet): packet.write(into: &writer)
    case .extendedReport(let packet): packet.write(into: &writer)
    }
  }
}

extension RTCPPacket {
  /// Appends the packets of a datagram. Those of types and formats unknown here are passed over; one that is malformed ends the
  /// reading, and what came before it has been appended.
  package static func parse(
    _ datagram: RawSpan, limits: RTCPLimits = RTCPLimits(), into packets: inout [RTCPPacket]
  ) throws(ParseError) {
    var reader = ByteReader(datagram)
    var count = 0
    while !reader.isAtEnd {
      count += 1
      guard count <= limits.packets else { throw .limit("RTCP packets in a datagram", maximum: limits.packets) }
      let start = reader.offset
      let header = try RTCPHeader(parsing: &reader)
      var body = try reader.bytes(header.bodyBytes)
      if header.hasPadding { body = try header.withoutPadding(body, at: start) }
      if let packet = try RTCPPacket(header, body, limits) { packets.append(packet) }
    }
  }

  /// - Parameter body: what follows the first word.
  private init?(_ header: RTCPHeader, _ body: RawSpan, _ limits: RTCPLimits) throws(ParseError) {
    switch (header.type, header.count) {
    case (RTCPType.senderReport, let count): self = .senderReport(try SenderReport(parsing: body, blocks: count))
    case (RTCPType.receiverReport, let count): self = .receiverReport(try ReceiverReport(parsing: body, blocks: count))
    case (RTCPType.sourceDescription, let count): self = .sourceDescription(try SourceDescription.parse(body, chunks: count))
    case (RTCPType.goodbye, let count): self = .goodbye(try Goodbye(parsing: body, sources: count))
    case (RTCPType.application, let subtype): self = .application(try ApplicationPacket(parsing: body, subtype: subtype))
    case (RTCPType.transportFeedback, GenericNACK.format): self = .nack(try GenericNACK(parsing: body, limits))
    case (RTCPType.transportFeedback, TransportFeedback.format):
      self = .transportFeedback(try TransportFeedback(parsing: body, limits))
    case (RTCPType.payloadFeedback, PictureLossIndication.format): self = .pictureLoss(try PictureLossIndication(parsing: body))
    case (RTCPType.payloadFeedback, FullIntraRequest.format): self = .fullIntraRequest(try FullIntraRequest(parsing: body))
    case (RTCPType.payloadFeedback, ReceiverEstimatedBitrate.format):
      guard let estimate = try ReceiverEstimatedBitrate(parsing: body) else { return nil }
      self = .bitrateEstimate(estimate)
    case (RTCPType.extendedReport, _): self = .extendedReport(try ExtendedReport(parsing: body))
    default: return nil
    }
  }
}
