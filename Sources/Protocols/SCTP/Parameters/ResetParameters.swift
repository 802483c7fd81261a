package import MartletPrimitives

/// A parameter of RE-CONFIG (RFC 6525 §4).
package enum ResetParameter: Equatable, Sendable {
  /// The sender's streams begin again at number 0; all of them when the list is empty.
  case outgoing(request: UInt32, response: UInt32, lastTSN: UInt32, streams: [UInt16])
  case response(to: UInt32, result: UInt32)
  /// A request that is understood and always denied: resets that we are asked to make, and changes of the number of streams.
  case other(request: UInt32)

  package enum Result {
    package static let nothingToDo: UInt32 = 0
    package static let performed: UInt32 = 1
    package static let denied: UInt32 = 2
    package static let wrongStream: UInt32 = 3
    package static let badSequenceNumber: UInt32 = 5
    package static let inProgress: UInt32 = 6
  }

  /// - Returns: `nil` for a parameter that is not known.
  init?(_ type: UInt16, _ body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    switch type {
    case ParameterType.outgoingReset:
      let (request, response, last) = (try reader.u32(), try reader.u32(), try reader.u32())
      var streams: [UInt16] = []
      streams.reserveCapacity(reader.remaining / 2)
      while !reader.isAtEnd { streams.append(try reader.u16()) }
      self = .outgoing(request: request, response: response, lastTSN: last, streams: streams)
    case ParameterType.reconfigurationResponse: self = .response(to: try reader.u32(), result: try reader.u32())
    case ParameterType.incomingReset, ParameterType.associationReset, ParameterType.addOutgoingStreams, ParameterType.addIncomingStreams:
      self = .other(request: try reader.u32())
    default: return nil
    }
  }

  /// `other` is never written.
  package func write(into writer: inout ByteWriter) {
    let start = writer.beginBlock()
    switch self {
    case .outgoing(let request, let response, let last, let streams):
      writer.u32(request)
      writer.u32(response)
      writer.u32(last)
      for stream in streams { writer.u16(stream) }
      writer.endParameter(ParameterType.outgoingReset, at: start)
    case .response(let request, let result):
      writer.u32(request)
      writer.u32(result)
      writer.endParameter(ParameterType.reconfigurationResponse, at: start)
    case .other(let request):
      writer.u32(request)
      writer.endParameter(ParameterType.incomingReset, at: start)
    }
  }
}

/// RE-CONFIG (RFC 6525 §3.1): one or two parameters.
package struct ReconfigurationChunk: Equatable, Sendable {
  package var parameters: [ResetParameter]

  package init(_ parameters: [ResetParameter]) { self.parameters = parameters }

  package init(parsing body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    parameters = []
    while !reader.isAtEnd {
      let start = reader.offset
      let header = try ParameterHeader(parsing: &reader)
      let value = try reader.bytes(header.bodyBytes)
      try reader.skip(min(header.padding, reader.remaining))
      guard parameters.count < 2 else { throw .invalid("more than two parameters of a RE-CONFIG", at: start) }
      if let parameter = try ResetParameter(header.type, value) { parameters.append(parameter) }
    }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.beginBlock()
    for parameter in parameters { parameter.write(into: &writer) }
    writer.endChunk(ChunkType.reconfiguration, at: start)
  }
}
