internal import MartletPrimitives
internal import MartletWebRTC

// How things are written to the server, and read of connections.

extension RoomMachine.LinkState {
  /// `nil` for one that says nothing about the path.
  internal init?(_ state: PeerConnection.ConnectionState) {
    switch state {
    case .new: return nil
    case .connecting: self = .connecting
    case .connected: self = .connected
    case .disconnected, .failed, .closed: self = .lost
    }
  }
}

extension RoomSignal {
  internal func command(to id: String) -> JSON {
    switch self {
    case .offer(let sdp): ["do": "offer", "to": .string(id), "sdp": .string(sdp)]
    case .answer(let sdp): ["do": "answer", "to": .string(id), "sdp": .string(sdp)]
    case .candidate(let candidate): ["do": "candidate", "to": .string(id), "candidate": candidate?.json ?? .null]
    case .renegotiate(let audio, let video):
      [
        "do": "signal", "to": .string(id),
        "data": ["renegotiate": ["audio": .int(Int64(audio)), "video": .int(Int64(video))]],
      ]
    }
  }
}

extension RoomSignal.PeerCandidate {
  internal var json: JSON {
    ["candidate": .string(text), "sdpMid": mid.map { .string($0) } ?? .null, "sdpMLineIndex": line.map { .int(Int64($0)) } ?? .null]
  }
}

extension Room.View {
  internal var json: JSON {
    var object = JSON.Object()
    (object["participant"], object["source"]) = (.string(participant), .string(source.rawValue))
    object["width"] = width.map { .int(Int64($0)) }
    object["height"] = height.map { .int(Int64($0)) }
    if isPaused { object["paused"] = true }
    return .object(object)
  }
}

extension PeerConnection.Configuration.ICEServer {
  /// RTCIceServer.
  internal init(_ json: JSON) {
    self.init(
      urls: (json["urls"]?.arrayValue ?? []).compactMap(\.stringValue), username: json["username"]?.stringValue ?? "",
      credential: json["credential"]?.stringValue ?? "")
  }
}
