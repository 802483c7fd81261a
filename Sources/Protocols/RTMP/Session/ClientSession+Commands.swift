internal import MartletPrimitives

/// The commands a client sends, and what it makes of the answers (RTMP 1.0 §7.2).
extension ClientSession {
  mutating func connect(now: Instant) {
    var properties = [
      AMFProperty("app", .string(configuration.app)), AMFProperty("flashVer", .string(configuration.flashVersion)),
      AMFProperty("tcUrl", .string(configuration.tcURL)),
    ]
    if case .publish = configuration.purpose {
      properties.append(AMFProperty("type", "nonprivate"))
    } else {
      // No proxy, and every codec that Flash Player had a bit for.
      properties += [
        AMFProperty("fpad", false), AMFProperty("capabilities", 15), AMFProperty("audioCodecs", 4071),
        AMFProperty("videoCodecs", 252), AMFProperty("videoFunction", 1),
      ]
    }
    properties += configuration.capabilities.properties
    link.setOwnWindow(configuration.windowAcknowledgementSize)
    link.setChunkSize(configuration.outgoingChunkSize)
    send("connect", .connect, object: .object(properties))
    enter(.connecting, now: now)
  }

  mutating func handle(_ command: Command, now: Instant) throws(RTMPError) {
    switch command.name {
    case "_result": result(command, now: now)
    case "_error": error(command)
    case "onStatus": status(command.argument(0), now: now)
    case "onBWDone": send("_checkbw", .checkBandwidth)
    case "close": fail(code: "NetConnection.Connect.Closed", "The server ended the connection.")
    default: break
    }
  }

  private mutating func result(_ command: Command, now: Instant) {
    switch Transaction(rawValue: command.transaction) {
    case .connect where phase == .connecting: connected(command, now: now)
    case .createStream where phase == .creating: created(command, now: now)
    default: break
    }
  }

  private mutating func connected(_ command: Command, now: Instant) {
    // Servers put their capabilities into either object.
    let inInformation = EnhancedCapabilities(command.argument(0))
    emit(.connected(inInformation.isEmpty ? EnhancedCapabilities(command.object) : inInformation))
    if case .publish = configuration.purpose {
      send("releaseStream", .releaseStream, [.string(configuration.streamName)])
      send("FCPublish", .fcPublish, [.string(configuration.streamName)])
    }
    send("createStream", .createStream)
    enter(.creating, now: now)
  }

  private mutating func created(_ command: Command, now: Instant) {
    guard let id = command.argument(0).number.flatMap({ UInt32(exactly: $0) }), id > 0 else {
      return fail(code: "NetConnection.Call.Failed", "The server answered createStream without a stream id.")
    }
    streamID = id
    switch configuration.purpose {
    case .publish(let type):
      link.send(Command("publish", [.string(configuration.streamName), .string(type)]).message(streamID: id))
    case .play(let start):
      link.send(UserControl.setBufferLength(id, milliseconds: configuration.bufferLength))
      link.send(Command("play", [.string(configuration.streamName), .number(start)]).message(streamID: id))
    }
    enter(.starting, now: now)
  }

  private mutating func error(_ command: Command) {
    // Many servers do not know the commands of Flash Media Live Encoder; nothing depends on them.
    switch Transaction(rawValue: command.transaction) {
    case .connect, .createStream:
      let information = command.argument(0)
      let code = information["code"]?.string ?? "NetConnection.Call.Failed"
      if phase == .connecting, let other = information["ex"]?["redirect"]?.string, !other.isEmpty { return redirect(to: other) }
      let name = command.transaction == Transaction.connect.rawValue ? "connect" : "createStream"
      fail(code: code, information["description"]?.string ?? "The server refused \(name).")
    case .releaseStream, .fcPublish, .checkBandwidth, .fcUnpublish, nil: break
    }
  }

  private mutating func status(_ information: AMFValue, now: Instant) {
    let level = information["level"]?.string ?? "status"
    let code = information["code"]?.string ?? ""
    let description = information["description"]?.string ?? ""
    emit(.status(level: level, code: code, description: description))
    // A live stream that cannot be sought in still plays.
    if level == "error", !code.hasPrefix("NetStream.Seek."), !code.hasPrefix("NetStream.Pause.") {
      return fail(code: code, description)
    }
    switch code {
    case "NetStream.Publish.Start":
      if phase == .starting, case .publish = configuration.purpose { start(.publishing, now: now) }
    case "NetStream.Play.Start":
      guard case .play = configuration.purpose else { return }
      if phase == .starting { start(.playing, now: now) } else { resumed() }
    case "NetConnection.Connect.Closed": fail(code: code, description)
    case "NetStream.Unpublish.Success":
      // Not asked for: the server has ended our publishing.
      if phase == .active { fail(code: code, description) }
    case "NetStream.Play.PublishNotify": resumed()
    case "NetStream.Play.Stop", "NetStream.Play.Complete", "NetStream.Play.UnpublishNotify": ended()
    default: break
    }
  }

  private mutating func start(_ event: ClientEvent, now: Instant) {
    enter(.active, now: now)
    emit(event)
  }

  private mutating func send(_ name: String, _ transaction: Transaction, object: AMFValue = .null, _ arguments: [AMFValue] = []) {
    link.send(Command(name, transaction: transaction.rawValue, object: object, arguments).message())
  }
}
