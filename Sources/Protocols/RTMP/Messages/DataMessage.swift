internal import MartletPrimitives

/// What a publisher's data messages become before they go to anyone else: plain AMF0, without the instruction to the
/// server that comes first.
extension RTMPMessage {
  private static let setDataFrame: [UInt8] = [2, 0, 13] + Array("@setDataFrame".utf8)
  private static let clearDataFrame: [UInt8] = [2, 0, 15] + Array("@clearDataFrame".utf8)

  /// The message that viewers are to get; `nil` when it was an instruction only. Metadata in AMF3 is translated.
  func normalizedData(limits: AMFLimits) throws(RTMPError) -> RTMPMessage? {
    var message = self
    if type == .dataAMF3 {
      do { message.payload = Slice(AMF0.encode(try AMF0.decode(amf0Payload, limits: limits))) } catch {
        throw .malformedMessage(type, error)
      }
      message.type = .data
    }
    if message.payload.begins(with: Self.clearDataFrame) { return nil }
    if message.payload.begins(with: Self.setDataFrame) { message.payload = message.payload.dropFirst(Self.setDataFrame.count) }
    return message.payload.isEmpty ? nil : message
  }
}

extension Slice {
  fileprivate func begins(with prefix: [UInt8]) -> Bool {
    count >= prefix.count && withUnsafeBytes { $0.prefix(prefix.count).elementsEqual(prefix) }
  }
}
