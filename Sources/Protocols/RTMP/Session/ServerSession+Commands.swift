internal import MartletPrimitives

/// Which command does what (RTMP 1.0 §7.2), and the small ones that are answered at once.
extension ServerSession {
  mutating func handle(_ command: Command, on streamID: UInt32) throws(RTMPError) {
    encoding = command.encoding
    if case .awaitingConnect = phase {
      guard command.name == "connect" else { throw .unexpected("\(quoted(command.name)) came before connect") }
      return try connect(command)
    }
    switch command.name {
    case "connect": throw .unexpected("a second connect on one connection")
    case "createStream": createStream(command)
    case "deleteStream": deleteStream(command)
    case "closeStream": end(streamID)
    case "publish": publish(command, on: streamID)
    case "play": play(command, on: streamID)
    case "pause", "pauseRaw", "seek", "receiveAudio", "receiveVideo": control(command, on: streamID)
    case "releaseStream", "_checkbw": answer(command)
    case "getStreamLength": answer(command, .number(0))
    case "FCPublish": fcPublish(command)
    case "FCUnpublish": fcUnpublish(command)
    case "FCSubscribe": fcSubscribe(command)
    case "_result", "_error", "onStatus", "close": break
    default: refuse(command, "The method \(quoted(command.name)) is not known here.")
    }
  }

  /// §7.2.1.3. The lowest free id, so that a client's first stream is 1 also after it has deleted one.
  private mutating func createStream(_ command: Command) {
    guard streams.count < configuration.messageStreams else {
      return refuse(command, "A connection may hold \(configuration.messageStreams) streams.")
    }
    var id: UInt32 = 1
    while streams[id] != nil { id += 1 }
    streams[id] = ServerStream()
    highestStreamID = max(highestStreamID, id)
    answer(command, .number(Double(id)))
  }

  /// §7.2.2.3: no answer.
  private mutating func deleteStream(_ command: Command) {
    guard let id = command.argument(0).number.flatMap({ UInt32(exactly: $0) }) else { return }
    end(id)
    streams[id] = nil
  }

  /// Ends what the stream does; the stream itself stays.
  mutating func end(_ id: UInt32) {
    guard let stream = streams[id], stream.isActive else { return }
    streams[id]?.state = .over
    dropHeld(id)
    emit(.closeStream(streamID: id))
  }

  /// Not in the specification: Flash Media Live Encoder and its heirs announce a stream so, and wait for the answer.
  private mutating func fcPublish(_ command: Command) {
    answer(command)
    let name = QueryParameters.split(command.argument(0).string ?? "").name
    send("onFCPublish", Command.information(level: "status", code: "NetStream.Publish.Start", "FCPublish to stream \(name)."))
  }

  private mutating func fcUnpublish(_ command: Command) {
    answer(command)
    let name = QueryParameters.split(command.argument(0).string ?? "").name
    send("onFCUnpublish", Command.information(level: "status", code: "NetStream.Unpublish.Success", "FCUnpublish of stream \(name)."))
    for (id, stream) in streams.sorted(by: { $0.key < $1.key }) where stream.isPublisher && stream.name == name {
      end(id)
      status(id, code: "NetStream.Unpublish.Success", "\(name) is now unpublished.")
    }
  }

  private mutating func fcSubscribe(_ command: Command) {
    answer(command)
    let name = QueryParameters.split(command.argument(0).string ?? "").name
    send("onFCSubscribe", Command.information(level: "status", code: "NetStream.Play.Start", "FCSubscribe to stream \(name)."))
  }

  // MARK: Answers

  mutating func reply(_ name: String, _ transaction: Double, object: AMFValue = .null, _ arguments: [AMFValue]) {
    link.send(Command(name, transaction: transaction, object: object, arguments, encoding: encoding).message())
  }

  private mutating func send(_ name: String, _ information: AMFValue) { reply(name, 0, [information]) }

  private mutating func answer(_ command: Command, _ value: AMFValue = .undefined) {
    if command.transaction != 0 { reply("_result", command.transaction, [value]) }
  }

  private mutating func refuse(_ command: Command, _ description: String) {
    guard command.transaction != 0 else { return }
    reply("_error", command.transaction, [Command.information(level: "error", code: "NetConnection.Call.Failed", description)])
  }

  mutating func status(_ id: UInt32, level: String = "status", code: String, _ description: String, _ more: [AMFProperty] = []) {
    let information = Command.information(level: level, code: code, description, more)
    let command = Command("onStatus", object: .null, [information], encoding: encoding)
    link.send(command.message(streamID: id, chunkStreamID: ChunkStreamID.status))
  }

  /// A name from the peer, fit for a log line: short, and without line breaks.
  func quoted(_ name: String) -> String { String(name.prefix(64)).debugDescription }
}
