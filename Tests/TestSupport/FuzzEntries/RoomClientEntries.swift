import MartletClient
import MartletPrimitives

/// What a server, and through it any participant, tells a room of `MartletClient`.
extension FuzzEntry {
  static let roomClients = [roomNotices, sectionLabels]

  private static let greeting =
    #"{"participant": "me", "room": {"topology": "mesh"}, "participants": [{"id": "a", "name": "A", "tracks": []}, {"id": "b"}]}"#

  /// Lines of JSON: events, answers to `resume`, and what comes over data channels.
  private static let roomNotices = FuzzEntry(
    "room-notices",
    seeds: [
      [
        #"{"event": "joined", "participant": {"id": "c", "name": "C", "info": {"x": 1}, "muted": ["camera"]}}"#,
        #"{"event": "offer", "from": "c", "sdp": "v=0"}"#, #"{"event": "topology", "topology": "sfu", "generation": 1}"#,
        #"{"event": "tracks", "participant": "c", "tracks": [{"source": "camera"}]}"#, #"{"handover": 1}"#, greeting,
        #"{"event": "topology", "topology": "supernode", "supernode": "a", "generation": 2}"#,
        #"{"event": "signal", "from": "a", "data": {"renegotiate": {"audio": 1, "video": 2}}}"#,
        #"{"event": "left", "participant": "a", "reason": "left"}"#, #"{"event": "moved", "room": "x"}"#,
      ].joined(separator: "\n"),
      #"{"event": "candidate", "from": "a", "candidate": {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0}}"#,
      #"{"event": "message", "from": "a", "name": "A", "data": "hello", "time": 1}"#, #"{"event": "speaking", "participants": ["a"]}"#,
      #"{"event": "left", "participant": "me", "reason": "kicked"}"#, #"{"event": "mute", "muted": ["microphone"]}"#,
    ].map { Array($0.utf8) }
  ) { bytes in
    var machine = RoomMachine<Int>()
    guard let first = (try? JSON(parsing: greeting)).flatMap({ RoomGreeting($0) }) else { return require(false, "no greeting") }
    machine.enter(first, now: .zero)
    var (links, hasServer) = (Set<String>(), false)
    for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
      let now = Instant.zero + .seconds(number)
      guard let json = try? JSON(parsing: Array(line)) else { continue }
      if let greeting = RoomGreeting(json) {
        machine.catchUp(greeting, now: now)
      } else if let notice = RoomNotice(json) {
        machine.receive(notice, now: now)
      } else {
        machine.hear(json, from: "a", now: now)
        machine.link("b", became: .connected, now: now)
        machine.link("a", carries: ["b": [.camera: number]])
      }
      machine.timeout(now: now)
      while let output = machine.pollOutput() {
        switch output {
        case .open(let id, _): require(links.insert(id).inserted, "a second connection to one participant")
        case .close(let id): require(links.remove(id) != nil, "the end of a connection that is not there")
        case .openServer, .closeServer: hasServer.toggle()
        default: break
        }
      }
      require(links.isSubset(of: machine.order), "a connection to somebody who is not here")
      require(hasServer || machine.arrangement.topology != .sfu, "media of a server without a connection to it")
    }
  }

  /// Descriptions, of which the room reads what their sections carry.
  private static let sectionLabels = FuzzEntry(
    "section-labels",
    seeds: [
      Array("o=- 1 2 IN IP4 0.0.0.0\r\nm=audio 9\r\na=mid:0\r\nm=video 9\r\na=mid:1\r\na=content:slides\r\n".utf8),
      Array("m=video 9\na=mid:x\na=label:p1.screen-audio\n".utf8),
    ]
  ) { bytes in
    let sdp = String(decoding: bytes, as: UTF8.self)
    let labels = SectionLabels(sdp)
    let screens = Set(labels.contents.keys)
    let marked = SectionLabels(SectionLabels.marking(screens, in: sdp))
    require(Set(marked.contents.keys) == screens, "marking sections changes which there are")
    require(marked.session == labels.session, "marking sections changes the session")
  }
}
