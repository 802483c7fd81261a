internal import MartletPrimitives

/// Playing (RTMP 1.0 §7.2.2.1) and what a player may ask for while it does.
extension ServerSession {
  mutating func play(_ command: Command, on id: UInt32) {
    guard let stream = streams[id] else {
      return status(id, level: "error", code: "NetStream.Failed", "play needs a stream: call createStream first.")
    }
    guard let text = command.argument(0).string else {
      // Flash: play(false) stops.
      guard command.argument(0).boolean == false else {
        return status(id, level: "error", code: "NetStream.Play.Failed", "play needs the name of a stream.")
      }
      end(id)
      return status(id, code: "NetStream.Play.Stop", "Stopped playing \(stream.name).")
    }
    guard !stream.isPublisher else {
      return status(id, level: "error", code: "NetStream.Play.Failed", "This stream already publishes \(stream.name).")
    }
    // A second play on one stream switches it.
    end(id)
    let (name, query) = QueryParameters.split(text)
    streams[id] = ServerStream(state: .playUndecided, name: name)
    let request = PlayRequest(
      streamID: id, name: name, query: query, start: command.argument(1).number ?? -2,
      duration: command.argument(2).number ?? -1, reset: command.argument(3).boolean ?? true)
    emit(.play(request))
  }

  /// Tells the player that media follows. Wire images may be sent right behind this output.
  package mutating func acceptPlay(_ id: UInt32, reset: Bool = true) {
    guard case .playUndecided = streams[id]?.state, let name = streams[id]?.name else { return }
    streams[id]?.state = .playing
    link.send(UserControl.streamBegin(id))
    let details = [AMFProperty("details", .string(name))]
    if reset { status(id, code: "NetStream.Play.Reset", "Playing and resetting \(name).", details) }
    status(id, code: "NetStream.Play.Start", "Started playing \(name).", details)
    // Flash lets its scripts read samples only after this.
    data(id, ["|RtmpSampleAccess", true, true])
  }

  /// - Parameter code: `NetStream.Play.StreamNotFound`, `NetStream.Play.Failed`, ….
  package mutating func rejectPlay(_ id: UInt32, code: String = "NetStream.Play.StreamNotFound", description: String) {
    guard case .playUndecided = streams[id]?.state, let name = streams[id]?.name else { return }
    streams[id]?.state = .over
    status(id, level: "error", code: code, description, [AMFProperty("details", .string(name))])
  }

  /// The stream has ended for good: players stop by themselves.
  package mutating func playEnded(_ id: UInt32) {
    guard let stream = streams[id], stream.isPlaying else { return }
    unpublishNotify(id)
    streams[id]?.state = .over
    link.send(UserControl.streamEOF(id))
    data(id, ["onPlayStatus", .object(["level": "status", "code": "NetStream.Play.Complete"])])
    status(id, code: "NetStream.Play.Stop", "Stopped playing \(stream.name).")
  }

  /// The publisher has gone; it may come back, so the player stays.
  package mutating func unpublishNotify(_ id: UInt32) {
    guard let stream = streams[id], stream.isPlaying else { return }
    status(id, code: "NetStream.Play.UnpublishNotify", "\(stream.name) is now unpublished.")
  }

  /// A publisher has come (back) to what the client plays.
  package mutating func publishNotify(_ id: UInt32) {
    guard let stream = streams[id], stream.isPlaying else { return }
    status(id, code: "NetStream.Play.PublishNotify", "\(stream.name) is now published.")
  }

  package mutating func pauseNotify(_ id: UInt32, paused: Bool) {
    guard let stream = streams[id], stream.isPlaying else { return }
    link.send(paused ? UserControl.streamEOF(id) : UserControl.streamBegin(id))
    let code = paused ? "NetStream.Pause.Notify" : "NetStream.Unpause.Notify"
    status(id, code: code, "\(paused ? "Paused" : "Resumed") \(stream.name).")
  }

  package mutating func seekNotify(_ id: UInt32, milliseconds: Double) {
    guard let stream = streams[id], stream.isPlaying else { return }
    link.send(UserControl.streamBegin(id))
    status(id, code: "NetStream.Seek.Notify", "Seeking \(milliseconds) in \(stream.name).")
    status(id, code: "NetStream.Play.Start", "Started playing \(stream.name).")
  }

  /// A live stream has no other place to go to.
  package mutating func rejectSeek(_ id: UInt32, description: String = "A live stream cannot be sought in.") {
    guard let stream = streams[id], stream.isPlaying else { return }
    status(id, level: "error", code: "NetStream.Seek.Failed", description)
  }

  mutating func control(_ command: Command, on id: UInt32) {
    guard let stream = streams[id], stream.isPlaying else {
      return status(id, level: "error", code: "NetStream.Failed", "\(command.name) needs a stream that plays.")
    }
    let flag = command.argument(0).boolean ?? true
    switch command.name {
    case "pause", "pauseRaw": emit(.pause(streamID: id, paused: flag, milliseconds: command.argument(1).number ?? 0))
    case "seek": emit(.seek(streamID: id, milliseconds: command.argument(0).number ?? 0))
    case "receiveAudio": emit(.receiveAudio(streamID: id, flag))
    default: emit(.receiveVideo(streamID: id, flag))
    }
  }

  /// Data of our own goes on the status chunk stream: the others belong to the wire images.
  private mutating func data(_ id: UInt32, _ values: [AMFValue]) {
    link.send(
      RTMPMessage(
        type: .data, streamID: id, timestamp: 0, chunkStreamID: ChunkStreamID.status, payload: Slice(AMF0.encode(values))))
  }
}
