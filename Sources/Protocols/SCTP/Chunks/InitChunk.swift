package import MartletPrimitives

/// INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3).
package struct InitChunk: Equatable, Sendable {
  /// Never 0.
  package var tag: UInt32
  /// The advertised receiver window, in bytes.
  package var window: UInt32
  package var outgoingStreams: UInt16
  package var incomingStreams: UInt16
  package var initialTSN: UInt32
  package var parameters: InitParameters

  package init(
    tag: UInt32, window: UInt32, outgoingStreams: UInt16, incomingStreams: UInt16, initialTSN: UInt32, parameters: InitParameters
  ) {
    self.tag = tag
    self.window = window
    self.outgoingStreams = outgoingStreams
    self.incomingStreams = incomingStreams
    self.initialTSN = initialTSN
    self.parameters = parameters
  }

  package init(parsing body: RawSpan, limits: SCTPLimits) throws(ParseError) {
    var reader = ByteReader(body)
    tag = try reader.u32()
    window = try reader.u32()
    outgoingStreams = try reader.u16()
    incomingStreams = try reader.u16()
    initialTSN = try reader.u32()
    // RFC 9260 §3.3.2: either of these ends the association before it begins.
    guard tag != 0 else { throw .invalid("an initiate tag of zero", at: 0) }
    guard outgoingStreams != 0, incomingStreams != 0 else { throw .invalid("no streams", at: 8) }
    parameters = try InitParameters(parsing: &reader, limits: limits)
  }

  package func write(into writer: inout ByteWriter, isAck: Bool) {
    let start = writer.beginBlock()
    writer.u32(tag)
    writer.u32(window)
    writer.u16(outgoingStreams)
    writer.u16(incomingStreams)
    writer.u32(initialTSN)
    parameters.write(into: &writer)
    writer.endChunk(isAck ? ChunkType.initiationAck : ChunkType.initiation, at: start)
  }
}
