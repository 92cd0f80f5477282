// Who is there: gossip of endpoint states, and each node's own opinion on who is alive.
// docs/protocols/gossip.md describes the rounds and the states.
//
// A value machine: messages, link events and the clock go in, actions come out. Members (whom to
// gossip with) come from the metadata log; gossip never adds or removes a node.
//
// A peer is alive while (1) our own link to it stands, (2) it has itself been heard over that link,
// and (3) its heartbeat, by whatever way it comes, is not suspiciously late. Hence a killed process
// is seen as soon as its link breaks and a reconnect fails or half a gossip interval passes; a hung
// one by phi; and a peer that only others can reach is not counted on.

package import Environment
package import PeerProtocol

/// What the machine asks for or reports.
package enum MembershipAction: Equatable, Sendable {
    case send(to: HostID, GossipMessage)
    case up(HostID)
    case down(HostID)
    /// The peer began or ceased to serve clients.
    case readyChanged(HostID, Bool)
    /// The peer has restarted at another address than before.
    case addressesChanged(HostID, client: SocketAddress, peer: SocketAddress)
    /// The peer has installed a newer epoch of the metadata log than it was known to have.
    case epochSeen(HostID, UInt64)
    /// Others know a later life of this very host: its data folder was copied or restored, and
    /// going on would let two nodes speak with one name.
    case superseded(generation: UInt32)
}

/// Gossip and failure detection of one node.
package struct ClusterMembership: Sendable {
    /// A pause of this machine for longer than this (Cassandra: 5 s) says nothing about others.
    private static let localPauseRounds: Int64 = 5

    private let settings: Configuration.Membership
    private var random: RandomStream
    private var own: EndpointState
    /// Sorted; without this node.
    private var members: [HostID] = []
    private var endpoints: [HostID: Endpoint] = [:]
    private var nextRound: Instant
    private var lastTick: Instant
    private var quietUntil: Instant

    /// `own` begins with heartbeat 0; its generation must be higher than in all former lives.
    package init(
        own: EndpointState, settings: Configuration.Membership, random: RandomStream, now: Instant
    ) {
        precondition(settings.gossipInterval.nanoseconds > 0)
        self.own = own
        self.settings = settings
        self.random = random
        nextRound = now + settings.gossipInterval
        lastTick = now
        quietUntil = now
    }

    // MARK: Questions

    /// Whether requests to the node are worth sending. This node itself always is.
    package func isAlive(_ host: HostID) -> Bool {
        host == own.host || endpoints[host]?.isAlive == true
    }

    /// Whether the node lives and says that it serves clients.
    package func isReady(_ host: HostID) -> Bool {
        if host == own.host { return own.isReady }
        return isAlive(host) && endpoints[host]?.state?.isReady == true
    }

    /// The last news of a node (of this one: the truth).
    package func state(of host: HostID) -> EndpointState? {
        host == own.host ? own : endpoints[host]?.state
    }

    /// The living members, sorted, without this node.
    package var aliveMembers: [HostID] { members.filter(isAlive) }

    /// The suspicion of a member, for status displays.
    package func phi(of host: HostID, now: Instant) -> Double {
        endpoints[host]?.detector.phi(at: now) ?? 0
    }

    /// When `tick` must be called next.
    package var deadline: Instant {
        var earliest = nextRound
        for host in members {
            guard let endpoint = endpoints[host], endpoint.isAlive,
                case .disconnected(let since) = endpoint.link
            else { continue }
            earliest = min(earliest, since + linkGrace)
        }
        return earliest
    }

    // MARK: What this node itself does

    /// The other members by the metadata log. Nodes that are no longer among them are forgotten.
    package mutating func setMembers(_ hosts: [HostID], now: Instant) -> [MembershipAction] {
        members = Set(hosts).subtracting([own.host]).sorted()
        var actions: [MembershipAction] = []
        for host in endpoints.keys.sorted() where !members.contains(host) {
            if endpoints[host]?.isAlive == true { actions.append(.down(host)) }
            endpoints[host] = nil
        }
        for host in members where endpoints[host] == nil {
            endpoints[host] = Endpoint(now: now, firstInterval: firstInterval)
        }
        return actions
    }

    /// Changes what this node tells of itself; news that others wait for are told to all at once.
    package mutating func updateOwn(
        epoch: UInt64, isReady: Bool, load: UInt64
    ) -> [MembershipAction] {
        let isNews = own.epoch != epoch || own.isReady != isReady
        own.epoch = epoch
        own.isReady = isReady
        own.load = load
        guard isNews else { return [] }
        own.heartbeat += 1
        return members.filter { endpoints[$0]?.isConnected == true }.map(syn)
    }

    // MARK: Events

    /// Time has passed: judges silences and, once in an interval, begins a gossip round.
    package mutating func tick(now: Instant) -> [MembershipAction] {
        notePause(now)
        var actions = judge(now)
        guard now >= nextRound else { return actions }
        nextRound = now + settings.gossipInterval
        own.heartbeat += 1
        let alive = members.filter { endpoints[$0]?.isAlive == true }
        let dead = members.filter { endpoints[$0]?.isAlive != true }
        if !alive.isEmpty { actions.append(syn(alive[pick(alive.count)])) }
        // As Cassandra: the more are dead, the likelier one of them is tried.
        if !dead.isEmpty, random.chance(UInt64(dead.count), outOf: UInt64(alive.count + 1)) {
            actions.append(syn(dead[pick(dead.count)]))
        }
        return actions
    }

    /// Our link to a peer came up, broke, or (a second `up: false`) could not be made again.
    package mutating func linkChanged(
        _ host: HostID, up: Bool, now: Instant
    ) -> [MembershipAction] {
        guard var endpoint = endpoints[host] else { return [] }
        if up {
            endpoint.link = .connected
            // What was heard over the former link does not count for this one.
            endpoint.wasHeard = false
            endpoint.detector.forgetSilence(at: now)
            endpoints[host] = endpoint
            return [syn(host)]
        }
        if endpoint.isConnected {
            endpoint.link = .disconnected(since: now)
            endpoint.wasHeard = false
            endpoints[host] = endpoint
            return judge(now)
        }
        return convict(host)
    }

    /// A message of the peer itself, of any kind, arrived. Worth calling where the peer is not
    /// alive.
    package mutating func heard(
        from host: HostID, incarnation: Incarnation, now: Instant
    ) -> [MembershipAction] {
        guard var endpoint = endpoints[host] else { return [] }
        if let known = endpoint.state, known.generation > incarnation.value { return [] }
        endpoint.wasHeard = true
        if !endpoint.isAlive { endpoint.detector.forgetSilence(at: now) }
        endpoints[host] = endpoint
        return reviveIfDue(host)
    }

    /// A gossip message of a peer.
    package mutating func receive(
        _ message: GossipMessage, from host: HostID, incarnation: Incarnation, now: Instant
    ) -> [MembershipAction] {
        notePause(now)
        guard endpoints[host] != nil else { return [] }
        var actions = heard(from: host, incarnation: incarnation, now: now)
        switch message {
        case .syn(let digests):
            let (states, wanted) = compare(digests, &actions)
            actions.append(.send(to: host, .ack(states: states, wanted: wanted)))
        case .ack(let states, let wanted):
            learn(states, now, &actions)
            let told = wanted.compactMap { digest -> EndpointState? in
                guard let known = state(of: digest.host), known.digest.isNewer(than: digest)
                else { return nil }
                return known
            }
            if !told.isEmpty { actions.append(.send(to: host, .ack2(told))) }
        case .ack2(let states):
            learn(states, now, &actions)
        }
        return actions
    }

    // MARK: Gossip

    private func syn(_ host: HostID) -> MembershipAction {
        var digests = [own.digest]
        for member in members {
            digests.append(
                endpoints[member]?.state?.digest
                    ?? GossipDigest(host: member, generation: 0, heartbeat: 0))
        }
        return .send(to: host, .syn(digests))
    }

    /// What the sender of these digests lacks, and what this node lacks.
    private func compare(
        _ digests: [GossipDigest], _ actions: inout [MembershipAction]
    ) -> (states: [EndpointState], wanted: [GossipDigest]) {
        var states: [EndpointState] = []
        var wanted: [GossipDigest] = []
        var named: Set<HostID> = []
        for digest in digests {
            guard named.insert(digest.host).inserted else { continue }
            if digest.host == own.host {
                if digest.generation > own.generation {
                    actions.append(.superseded(generation: digest.generation))
                } else if own.digest.isNewer(than: digest) {
                    states.append(own)
                }
                continue
            }
            guard let endpoint = endpoints[digest.host] else { continue }
            let known =
                endpoint.state?.digest
                ?? GossipDigest(host: digest.host, generation: 0, heartbeat: 0)
            if digest.isNewer(than: known) {
                wanted.append(known)
            } else if let state = endpoint.state, known.isNewer(than: digest) {
                states.append(state)
            }
        }
        for host in [own.host] + members where !named.contains(host) {
            if let state = state(of: host) { states.append(state) }
        }
        return (states, wanted)
    }

    private mutating func learn(
        _ states: [EndpointState], _ now: Instant, _ actions: inout [MembershipAction]
    ) {
        for news in states {
            if news.host == own.host {
                if news.generation > own.generation {
                    actions.append(.superseded(generation: news.generation))
                }
                continue
            }
            guard var endpoint = endpoints[news.host] else { continue }
            let former = endpoint.state
            if let former, !news.digest.isNewer(than: former.digest) { continue }
            if let former, former.generation < news.generation {
                endpoint.detector = PhiAccrualFailureDetector(firstInterval: firstInterval)
            }
            endpoint.detector.heartbeat(at: now)
            endpoint.state = news
            endpoints[news.host] = endpoint
            if let former,
                (former.clientAddress, former.peerAddress) != (news.clientAddress, news.peerAddress)
            {
                actions.append(
                    .addressesChanged(
                        news.host, client: news.clientAddress, peer: news.peerAddress))
            }
            if news.epoch > former?.epoch ?? 0 {
                actions.append(.epochSeen(news.host, news.epoch))
            }
            actions += reviveIfDue(news.host)
            // A peer that has just come alive has reported it by that.
            if endpoint.isAlive, news.isReady != former?.isReady ?? false {
                actions.append(.readyChanged(news.host, news.isReady))
            }
        }
    }

    // MARK: Judgement

    /// How long a broken link is only suspicious.
    private var linkGrace: Instant.Span {
        Instant.Span(nanoseconds: settings.gossipInterval.nanoseconds / 2)
    }

    private var firstInterval: Instant.Span {
        Instant.Span(nanoseconds: settings.gossipInterval.nanoseconds * 2)
    }

    /// With a broken link, less silence than otherwise is enough.
    private static let phiBoundOfBrokenLink = 1.0

    private mutating func notePause(_ now: Instant) {
        let pause = settings.gossipInterval.nanoseconds * Self.localPauseRounds
        if (now - lastTick).nanoseconds > pause {
            quietUntil = now + Instant.Span(nanoseconds: pause)
        }
        lastTick = now
    }

    private mutating func judge(_ now: Instant) -> [MembershipAction] {
        var actions: [MembershipAction] = []
        for host in members {
            guard let endpoint = endpoints[host], endpoint.isAlive else { continue }
            let phi = endpoint.detector.phi(at: now)
            let isGone: Bool
            switch endpoint.link {
            case .connected: isGone = phi > settings.phiThreshold && now >= quietUntil
            case .disconnected(let since):
                isGone =
                    now >= since + linkGrace
                    || (phi > Self.phiBoundOfBrokenLink && now >= quietUntil)
            }
            if isGone { actions += convict(host) }
        }
        return actions
    }

    private mutating func convict(_ host: HostID) -> [MembershipAction] {
        guard endpoints[host]?.isAlive == true else { return [] }
        endpoints[host]?.isAlive = false
        endpoints[host]?.wasHeard = false
        return [.down(host)]
    }

    private mutating func reviveIfDue(_ host: HostID) -> [MembershipAction] {
        guard let endpoint = endpoints[host], !endpoint.isAlive, endpoint.isConnected,
            endpoint.wasHeard
        else { return [] }
        endpoints[host]?.isAlive = true
        var actions: [MembershipAction] = [.up(host)]
        if endpoint.state?.isReady == true { actions.append(.readyChanged(host, true)) }
        return actions
    }

    private mutating func pick(_ count: Int) -> Int { Int(random.below(UInt64(count))) }
}
