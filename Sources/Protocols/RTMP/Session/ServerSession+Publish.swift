internal import MartletPrimitives

/// Publishing (RTMP 1.0 §7.2.2.6) and the media that follows it.
extension ServerSession {
  mutating func publish(_ command: Command, on id: UInt32) {
    guard let stream = streams[id] else {
      return status(id, level: "error", code: "NetStream.Failed", "publish needs a stream: call createStream first.")
    }
    guard let text = command.argument(0).string else {
      // Flash: publish(false) ends the publishing.
      guard command.argument(0).boolean == false else {
        return status(id, level: "error", code: "NetStream.Publish.BadName", "publish needs the name of a stream.")
      }
      end(id)
      return status(id, code: "NetStream.Unpublish.Success", "\(stream.name) is now unpublished.")
    }
    guard !stream.isActive else {
      let use = stream.isPublisher ? "publishes" : "plays"
      return status(id, level: "error", code: "NetStream.Publish.BadName", "This stream already \(use) \(stream.name).")
    }
    let (name, query) = QueryParameters.split(text)
    streams[id] = ServerStream(state: .publishUndecided, name: name)
    emit(.publish(PublishRequest(streamID: id, name: name, query: query, type: command.argument(1).string ?? "live")))
  }

  /// Lets the publisher begin; what it sent in the meantime follows as events.
  package mutating func acceptPublish(_ id: UInt32) {
    guard case .publishUndecided = streams[id]?.state, let name = streams[id]?.name else { return }
    streams[id]?.state = .publishing
    link.limits = configuration.chunkLimits
    link.send(UserControl.streamBegin(id))
    status(id, code: "NetStream.Publish.Start", "\(name) is now published.")
    for message in held where message.streamID == id { emit(.media(streamID: id, message)) }
    dropHeld(id)
  }

  /// Refuses, or ends what was accepted before. The connection stays; media still on its way is dropped.
  /// - Parameter code: `NetStream.Publish.BadName` when the name is in use, `NetStream.Publish.Denied`, ….
  package mutating func rejectPublish(_ id: UInt32, code: String = "NetStream.Publish.BadName", description: String) {
    guard let stream = streams[id], stream.isPublisher else { return }
    streams[id]?.state = .over
    dropHeld(id)
    status(id, level: "error", code: code, description)
  }

  mutating func media(_ message: RTMPMessage) throws(RTMPError) {
    let id = message.streamID
    guard let stream = streams[id] else { return try mediaWithoutStream(message) }
    switch stream.state {
    case .publishing:
      if let message = try forViewers(message) { emit(.media(streamID: id, message)) }
    case .publishUndecided: try keep(message)
    case .over: break
    case .idle, .playUndecided, .playing:
      throw .unexpected("\(message.type) on message stream \(id), which does not publish")
    }
  }

  /// Encoders send metadata on stream 0, and media for a moment after they have deleted its stream.
  private func mediaWithoutStream(_ message: RTMPMessage) throws(RTMPError) {
    let isData = message.type == .data || message.type == .dataAMF3
    if isData || (message.streamID > 0 && message.streamID <= highestStreamID) { return }
    throw .unexpected("\(message.type) on message stream \(message.streamID), which was never created")
  }

  private func forViewers(_ message: RTMPMessage) throws(RTMPError) -> RTMPMessage? {
    guard message.type == .data || message.type == .dataAMF3 else { return message }
    return try message.normalizedData(limits: configuration.amfLimits)
  }

  /// Some encoders do not wait for the answer to `publish`, and what comes first holds the codecs' configuration.
  private mutating func keep(_ message: RTMPMessage) throws(RTMPError) {
    guard let message = try forViewers(message) else { return }
    heldBytes += message.payload.count + 64
    guard heldBytes <= configuration.undecidedBytes else {
      throw .limit("bytes sent before publish was answered", value: heldBytes, maximum: configuration.undecidedBytes)
    }
    held.append(message)
  }

  mutating func dropHeld(_ id: UInt32) {
    held.removeAll { $0.streamID == id }
    heldBytes = held.reduce(0) { $0 + $1.payload.count + 64 }
  }
}
