package concertina.api.wmla;

import concertina.api.Authentication;
import concertina.api.Contract;
import concertina.api.OwnedJobs;
import concertina.api.Routes;
import concertina.api.Uploads;
import concertina.model.ErrorCode;
import concertina.train.JobFiles;
import concertina.train.Jobs;

/** The exec API of the second WMLA generation with its logon and its command-line client. */
public final class WmlaApi implements Contract {
    static final String BASE = "/platform/rest/deeplearning/v1";

    private final ConsoleRoutes console;
    private final ExecRoutes execs;
    private final SchedulerRoutes scheduler;

    public WmlaApi(WmlaOptions options, Authentication authentication, Uploads uploads, Jobs jobs, JobFiles files) {
        OwnedJobs owned = new OwnedJobs(jobs, files, ErrorCode.UNKNOWN_TASK);
        this.console = new ConsoleRoutes(options, authentication, owned);
        this.execs = new ExecRoutes(options, uploads, owned);
        this.scheduler = new SchedulerRoutes(options, owned);
    }

    @Override
    public void register(Routes routes) {
        console.register(routes);
        execs.register(routes);
        scheduler.register(routes);
    }
}
