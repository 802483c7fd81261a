internal import MartletHTTP
internal import MartletMessages
internal import MartletPrimitives

/// What went wrong with a command, as a number a program may act on: from 200 on the same command may succeed later.
internal enum SocketErrorCode: Int {
  case badCommand = 100
  case noCredentials = 101
  case forbidden = 103
  case expired = 104
  case alreadySubscribed = 105
  case notSubscribed = 106
  case limit = 107
  case noPresence = 108
  case noRoom = 109
  case notSaid = 110
  case busy = 200
  case storage = 201

  internal init(_ error: MessageError) {
    switch error {
    case .busy: self = .busy
    case .storage: self = .storage
    case .tooManyChannels, .tooManySubscriptions: self = .limit
    case .alreadySubscribed: self = .alreadySubscribed
    case .notSubscribed: self = .notSubscribed
    case .noPresence: self = .noPresence
    case .noRoom: self = .noRoom
    case .notSaid: self = .notSaid
    }
  }

  internal var mayRetry: Bool { rawValue >= 200 }
}

/// Answers of `/ws`: `{"id": N, "ok": true, …}` or `{"id": N, "error": {"code", "message", "retry"}}`.
internal enum SocketReply {
  internal static func ok(_ id: Int64?, _ body: (inout JSONWriter) -> Void = { _ in }) -> Slice {
    var json = JSONWriter()
    json.object { json in
      if let id { json.member("id", Int(id)) }
      json.member("ok", true)
      body(&json)
    }
    return Slice(json.bytes)
  }

  /// - Parameter channel: a subscription that ended with it.
  internal static func error(_ id: Int64?, _ code: SocketErrorCode, _ message: String, ended channel: ChannelName? = nil) -> Slice {
    var json = JSONWriter()
    json.object { json in
      if let id { json.member("id", Int(id)) }
      if let channel { json.member("channel", channel.text) }
      json.member("error") { json in
        json.object { json in
          json.member("code", code.rawValue)
          json.member("message", message)
          json.member("retry", code.mayRetry)
        }
      }
    }
    return Slice(json.bytes)
  }
}

/// Close codes of `/ws`: 4000 to 4499 say "come again", 4500 and above "do not".
internal enum ChannelCloseCode {
  /// It did not keep up; its cursors say where to go on.
  internal static let slow = WebSocketCloseCode(rawValue: 4008)
  internal static let expired = WebSocketCloseCode(rawValue: 4501)
  internal static let kicked = WebSocketCloseCode(rawValue: 4503)

  internal static func of(_ reason: ChannelKick) -> WebSocketCloseCode {
    switch reason {
    case .slow: slow
    case .expired: expired
    case .administrator: kicked
    }
  }
}
