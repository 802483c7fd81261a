/// A cursor taken apart, to tell what was seen already. What is no `EPOCH:OFFSET` is kept as it is and compared as a whole.
internal struct ChannelPosition: Equatable, Sendable {
  internal let text: String
  private let epoch: Substring
  private let offset: Int?

  internal init(_ text: String) {
    self.text = text
    let colon = text.lastIndex(of: ":") ?? text.endIndex
    epoch = text[..<colon]
    offset = Int(text[colon...].dropFirst())
  }

  internal enum Step { case seen, next, gap }

  /// What a message at `other` is for somebody who has seen everything up to here.
  internal func step(to other: ChannelPosition) -> Step {
    guard epoch == other.epoch, let offset, let next = other.offset else { return self == other ? .seen : .gap }
    if next <= offset { return .seen }
    return next - 1 == offset ? .next : .gap
  }
}
