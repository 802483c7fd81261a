internal import MartletMessages
internal import MartletPrimitives

/// What a client asks for over `/ws`: `{"do": …, "id": N, …}`.
internal struct SocketCommand {
  internal enum Action {
    case connect(token: String?)
    case refresh(token: String)
    case subscribe(ChannelName, SubscriptionStart, watchesPresence: Bool, info: Slice)
    case unsubscribe(ChannelName)
    case publish(ChannelName, Draft)
    case history(ChannelName, SubscriptionStart, limit: Int)
    case presence(ChannelName)
    case ping
  }

  /// Comes back in the answer; `nil` asks for none unless something is wrong.
  internal let id: Int64?
  internal let action: Action

  internal static let names = ["connect", "refresh", "subscribe", "unsubscribe", "publish", "history", "presence", "ping"]

  internal init(_ json: JSON, id: Int64?) throws(ParseError) {
    self.id = id
    switch try MessageContent.text(json, "do") {
    case "connect": action = .connect(token: try MessageContent.text(json, "token"))
    case "refresh":
      guard let token = try MessageContent.text(json, "token") else { throw .invalid("refresh needs \"token\"", at: 0) }
      action = .refresh(token: token)
    case "subscribe":
      let info = json["info"].map { Slice($0.serialized) } ?? Slice()
      guard info.count <= Member.maximumInfo else { throw .limit("bytes of \"info\"", maximum: Member.maximumInfo) }
      let watches = json["presence"] == .bool(true)
      action = .subscribe(try Self.channel(json), try Self.start(json, otherwise: .now), watchesPresence: watches, info: info)
    case "unsubscribe": action = .unsubscribe(try Self.channel(json))
    case "publish": action = .publish(try Self.channel(json), try MessageContent.draft(of: json))
    case "history":
      let limit = try Self.number(json, "limit") ?? 100
      action = .history(try Self.channel(json), try Self.start(json, otherwise: .last(limit)), limit: limit)
    case "presence": action = .presence(try Self.channel(json))
    case "ping": action = .ping
    case let other:
      throw .invalid(
        "\"do\" is one of \(Self.names.joined(separator: ", ")), not \(other.map { "\"\($0.prefix(40))\"" } ?? "missing")", at: 0)
    }
  }

  private static func channel(_ json: JSON) throws(ParseError) -> ChannelName {
    guard let text = try MessageContent.text(json, "channel") else { throw .invalid("\"channel\" is missing", at: 0) }
    return try ChannelName(text)
  }

  internal static func start(_ json: JSON, otherwise: SubscriptionStart) throws(ParseError) -> SubscriptionStart {
    if let text = try MessageContent.text(json, "since") { return .after(try Cursor(text)) }
    return try number(json, "last").map { .last($0) } ?? otherwise
  }

  internal static func number(_ json: JSON, _ name: String) throws(ParseError) -> Int? {
    switch json[name] {
    case nil, .null?: return nil
    case .int(let value)? where value >= 0: return Int(value)
    default: throw .invalid("\"\(name)\" is a whole number from 0", at: 0)
    }
  }
}
