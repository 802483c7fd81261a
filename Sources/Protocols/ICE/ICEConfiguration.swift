package import MartletPrimitives
package import MartletSTUN

/// Who decides which pair is used (RFC 8445 §6.1.1).
package enum ICERole: Sendable { case controlling, controlled }

package struct ICEConfiguration: Sendable {
  /// The offerer controls, unless exactly one side is lite: then the full one does, whatever is said here.
  package var role = ICERole.controlled
  /// RFC 8445 §2.5: for a server with a public address. Sends no checks, answers those that are authentic.
  package var isLite = false
  /// Begins the user name fragment, so that a server can find the worker of a check before it knows anything else.
  package var fragmentPrefix = ""
  /// Ta: between two new checks (RFC 8445 §14.2).
  package var pacing = TimeSpan.milliseconds(50)
  /// How a check that is not answered is sent again: seven times in 39.5 s (RFC 8445 §14.3, RFC 8489 §6.2.1).
  package var schedule = ClientTransaction.Schedule.datagram
  /// The same over a pair that the peer has been heard on, and to a lite one, which is not heard before it is asked: at 0, 0.5, 1.5, 3.5, 7.5 s and then every 4 s. With seven tries, one
  /// connection in some hundreds took 30 s or failed where a fifth of the datagrams is lost, since a peer whose own check was answered
  /// sends no other that would trigger one of ours.
  package var heardSchedule = ClientTransaction.Schedule(initial: .milliseconds(500), requests: 12, lastWait: 8, longest: .seconds(4))
  /// The same for the check that nominates. It goes over a path that works, and if it is lost nothing that the peer does brings
  /// another one, so it is sent more often: with seven tries, one run in a thousand failed where a fifth is lost.
  package var nominationSchedule = ClientTransaction.Schedule(initial: .milliseconds(500), requests: 24, lastWait: 4, longest: .seconds(1))
  /// After the first pair has worked, how long a better one is waited for before the best so far is nominated.
  package var nominationDelay = TimeSpan.milliseconds(300)
  /// RFC 7675 §5.1: between a consent check that was answered and the next, each time times 0.8 to 1.2, and how long consent
  /// lasts without an answer.
  package var consentInterval = TimeSpan.seconds(5)
  /// Between a consent check that was not answered and the next. The RFC keeps to 5 s, so that six lost exchanges in a row end
  /// a session: where a tenth of the datagrams is lost that is once a day or more often, where a fifth is, within the hour.
  package var consentRetry = TimeSpan.seconds(1)
  package var consentLifetime = TimeSpan.seconds(30)
  /// After how much silence the state is `disconnected`. More than the 6 s that a peer may leave between two checks when it
  /// sends nothing else.
  package var disconnectedAfter = TimeSpan.seconds(7)
  /// RFC 8863 §4: how long a peer that cannot be reached yet is waited for, since it may still reach us.
  package var patience = TimeSpan.milliseconds(39_500)
  /// Where the pair in use is lost and another works, how long the controlling side may take at least to name that one.
  package var successionPatience = TimeSpan.seconds(15)
  /// Between two lite agents no check proves that the peer wants our packets (RFC 8445 §8.2): only for a peer that is trusted
  /// by other means. Otherwise two lite agents fail.
  package var trustsLitePeer = false
  package var limits = ICELimits()

  package init() {}
}

package struct ICELimits: Sendable {
  package var localCandidates = 32
  /// Signalled and peer-reflexive ones together.
  package var remoteCandidates = 64
  /// RFC 8445 §6.1.2.5.
  package var pairs = 100
  /// A check has about 150 bytes.
  package var messageBytes = 1280
  package var attributes = 24
  /// Of one `candidate` attribute.
  package var candidateBytes = 512
  /// Messages waiting for `pollTransmit`; when full, new ones are dropped as a network might.
  package var transmits = 128
  /// Entries of `trace`; the oldest goes first.
  package var trace = 32

  package init() {}
}

/// What the agent needs to know about one side: RFC 8445 §5.3.
package struct ICECredentials: Equatable, Sendable {
  /// 4 to 256 characters.
  package var fragment: String
  /// 22 to 256 characters.
  package var password: String

  package init(fragment: String, password: String) {
    self.fragment = fragment
    self.password = password
  }

  /// 48 random bits in the fragment behind `prefix`, 144 in the password; 24 and 128 are required.
  package init(prefix: String = "", random: inout RandomSource) {
    fragment = prefix + random.text(8)
    password = random.text(24)
  }
}
