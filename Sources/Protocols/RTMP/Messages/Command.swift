internal import MartletPrimitives

/// A command message (RTMP 1.0 §7.1.1): a name, the transaction it begins or answers, an object, further arguments.
package struct Command: Equatable, Sendable {
  package enum Encoding: Sendable { case amf0, amf3 }

  package var name: String
  /// 0 when no answer is wanted.
  package var transaction: Double
  package var object: AMFValue
  package var arguments: [AMFValue]
  /// Which of the two message types carries it. Values inside type 17 are AMF0 as well, each free to switch to AMF3.
  package var encoding: Encoding

  package init(
    _ name: String, transaction: Double = 0, object: AMFValue = .null, _ arguments: [AMFValue] = [], encoding: Encoding = .amf0
  ) {
    self.name = name
    self.transaction = transaction
    self.object = object
    self.arguments = arguments
    self.encoding = encoding
  }

  package init(_ message: RTMPMessage, limits: AMFLimits = AMFLimits()) throws(RTMPError) {
    encoding = message.type == .commandAMF3 ? .amf3 : .amf0
    let values: [AMFValue]
    do { values = try AMF0.decode(message.amf0Payload, limits: limits) } catch { throw .malformedMessage(message.type, error) }
    guard let name = values.first?.string else {
      throw .malformedMessage(message.type, .invalid("a command without a name", at: 0))
    }
    self.name = name
    transaction = values.count > 1 ? values[1].number ?? 0 : 0
    object = values.count > 2 ? values[2] : .null
    arguments = Array(values.dropFirst(3))
  }

  /// The argument at `index`, undefined when the peer sent fewer.
  package func argument(_ index: Int) -> AMFValue { index < arguments.count ? arguments[index] : .undefined }

  package func message(streamID: UInt32 = 0, chunkStreamID: UInt32 = ChunkStreamID.command) -> RTMPMessage {
    var bytes = AMF0.encode([.string(name), .number(transaction), object] + arguments)
    if encoding == .amf3 { bytes.insert(0, at: 0) }
    return RTMPMessage(
      type: encoding == .amf3 ? .commandAMF3 : .command, streamID: streamID, timestamp: 0, chunkStreamID: chunkStreamID,
      payload: Slice(bytes))
  }

  /// The object of an `onStatus` or of an answer: level `status`, `warning` or `error`, and a dotted code.
  package static func information(level: String, code: String, _ description: String, _ more: [AMFProperty] = []) -> AMFValue {
    .object(
      [AMFProperty("level", .string(level)), AMFProperty("code", .string(code)), AMFProperty("description", .string(description))]
        + more)
  }
}

extension RTMPMessage {
  /// The AMF0 values of a command or data message. Types 15 and 17 put one format byte, 0, in front of them.
  var amf0Payload: Slice {
    let hasFormat = (type == .commandAMF3 || type == .dataAMF3) && payload.bytes.byte(at: 0) == 0
    return hasFormat ? payload.dropFirst(1) : payload
  }
}
