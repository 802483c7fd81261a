import MartletEndpoints
import MartletPrimitives
import MartletRooms

/// What participants of rooms say: commands, offers to the server, SkyRTC.
extension FuzzEntry {
  static let rooms = [roomCommand, roomOffer, skyRTC]

  private static func bytes(_ texts: [String]) -> [[UInt8]] { texts.map { Array($0.utf8) } }

  /// Whatever is commanded, the room keeps what it promises: ids that are there, limits that hold, and outputs that end.
  private static let roomCommand = FuzzEntry(
    "room-command",
    seeds: bytes([
      #"{"do":"offer","to":"p1","sdp":"v=0"}"#, #"{"do":"candidate","to":"p1","candidate":{"candidate":"","sdpMid":"0"}}"#,
      #"{"do":"set","name":"Ada","info":{"a":1},"muted":["camera","screen-audio"]}"#, #"{"do":"say","data":"hi","once":"k"}"#,
      #"{"do":"report","uplink":900000,"limited":false,"unreachable":["p1"]}"#, #"{"do":"mute","participant":"p0","muted":["microphone"]}"#,
      #"{"do":"topology","topology":"supernode","supernode":"p0"}"#, #"{"do":"move","participant":"p1","room":"other"}"#,
      #"{"capacity":2,"topology":"mesh","publish":"nobody","lobby":true,"record":false}"#,
    ])
  ) { bytes in
    guard let json = try? JSON(parsing: bytes), let name = try? RoomName("r") else { return }
    var room = Room(name, RoomConfiguration(), hasServer: true, created: WallTime(milliseconds: 0))
    let keys = ["k0", "k1"].map { ParticipantKey($0) }
    for (index, key) in keys.enumerated() {
      let entry = Room.Entry(id: ParticipantID("p\(index)"), key: key, remote: SocketAddress(ip: .anyV4, port: 9))
      _ = try? room.join(entry, now: .zero, at: WallTime(milliseconds: 0))
    }
    if let change = try? RoomOptions.Change(json) { room.configure(room.options.applying(change)) }
    if let command = try? RoomCommand(json) {
      for key in keys { try? room.perform(command, by: key, isModerator: true, now: .zero) }
    }
    var outputs = 0
    while room.pollOutput() != nil { outputs += 1 }
    require(outputs < 100, "a command that says too much")
    require(RoomOptions.capacities.contains(room.options.capacity), "a capacity out of its range")
    require(room.topology.supernode.map { id in room.participants.contains { $0.id == id } } ?? true, "a supernode that is not there")
    for participant in room.participants { require(participant.name.utf8.count <= RoomLimits.name, "a name beyond its limit") }
  }

  private static let roomOffer = FuzzEntry(
    "room-offer",
    seeds: bytes([
      #"{"do":"offer","sdp":"v=0","session":"0-a","tracks":[{"mid":"0","source":"camera"}],"subscribe":[{"mid":"1","participant":"p","source":"screen"}]}"#,
      #"{"do":"view","session":"0-a","tracks":[{"participant":"p","source":"camera","width":640,"height":360,"paused":false}]}"#,
    ])
  ) { bytes in
    guard let json = try? JSON(parsing: bytes) else { return }
    if let offer = try? RoomOffer(CommandFields(json)) {
      require(offer.tracks.count <= RoomLimits.tracks, "more tracks than one may have")
      require(offer.subscriptions.count <= RoomOffer.maximumSections, "more subscriptions than there are sections")
    }
    if let view = try? RoomView(CommandFields(json)) {
      require(view.wishes.values.allSatisfy { ($0.height ?? 0) <= 16_384 && $0.area >= 0 }, "a picture larger than any screen")
    }
  }

  private static let skyRTC = FuzzEntry(
    "skyrtc",
    seeds: bytes([
      #"{"eventName":"__join","data":{"room":"r"}}"#, #"{"event":"offer","data":{"socketId":"p","sdp":{"type":"offer","sdp":"v=0"}}}"#,
      #"{"eventName":"__ice_candidate","data":{"socketId":"p","label":0,"id":"audio","candidate":"candidate:1"}}"#,
      #"{"event":"candidate","from":"p","candidate":{"candidate":"c","sdpMid":"0"}}"#,
    ])
  ) { bytes in
    guard let json = try? JSON(parsing: bytes) else { return }
    guard let (name, data, dialect) = SkyRTCDialect.parse(json) else { return }
    let command = SkyRTCDialect.command(name, data, to: "p")
    require(command["to"] == "p", "a command for somebody else")
    _ = dialect.translate(json)
    // What one says another hears.
    guard case .signal(let signal)? = try? RoomCommand(command), signal.kind == .signal else { return }
    let heard = dialect.translate(["event": "signal", "from": "q", "data": signal.content])
    require(heard?["data"]?["socketId"] == "q", "an event without its sender")
  }
}
